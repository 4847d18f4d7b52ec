#include "controller/kube/exec_plugin.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "controller/kube/resource.h"
#include "controller/kube/run_program.h"
#include "core/base/format.h"
#include "core/base/timestamps.h"

namespace longstride::kube {
namespace {

// Renewed so long before it expires, so that it is still good when it arrives.
constexpr double kSpareSeconds = 10;

class ExecCredentials final : public Credentials {
 public:
  ExecCredentials(ExecPlugin plugin, std::shared_ptr<TlsSource> tls, const Clock& clock)
      : plugin_(std::move(plugin)), tls_(std::move(tls)), clock_(clock) {}

  Result<std::string> Authorization(std::stop_token stop, Duration limit) override {
    const SystemClock clock;  // clock_ is for the credential's expiry
    const TimePoint until = clock.Now() + limit;
    std::unique_lock lock(mutex_);
    // Others wait for the same credential.
    if (!changed_.wait_until(lock, stop, until, [this] { return !running_; })) {
      if (stop.stop_requested()) return InterruptedError(Text("stopped"));
      return TransientError(Text("has not ended yet"));
    }
    if (valid_ && (!expires_ || clock_.UnixSeconds() <= *expires_ - kSpareSeconds)) {
      return authorization_;
    }
    running_ = true;
    lock.unlock();
    const auto result =
        RunProgram(ToProgram(), std::min(plugin_.deadline, until - clock.Now()), stop);
    lock.lock();
    running_ = false;
    changed_.notify_all();
    if (!result.ok()) return result.error();
    LONGSTRIDE_RETURN_IF_ERROR(Take(*result));
    return authorization_;
  }

  void Invalidate() override {
    const std::lock_guard lock(mutex_);
    valid_ = false;
  }

 private:
  // Under mutex_.
  Status Take(const ProgramResult& result) {
    if (result.exit_code != 0) {
      return Fault(Format("ended with exit code %d: %s", result.exit_code, result.errors.c_str()));
    }
    const Json printed = Json::parse(result.output, nullptr, /*allow_exceptions=*/false);
    if (!printed.is_object() || StringAt(printed, "/kind") != "ExecCredential" ||
        StringAt(printed, "/apiVersion") != plugin_.api_version) {
      return Fault("did not print an ExecCredential of " + plugin_.api_version);
    }
    const std::string token = StringAt(printed, "/status/token");
    const std::string certificate = StringAt(printed, "/status/clientCertificateData");
    const std::string key = StringAt(printed, "/status/clientKeyData");
    if (!token.empty() && !IsToken(token)) return Fault("printed a token with odd characters");
    if (token.empty() && certificate.empty()) return Fault("printed no token and no certificate");
    if (!certificate.empty() && tls_) {
      const Status taken = tls_->SetClientCertificate(certificate, key);
      if (!taken.ok()) return Fault(taken.error().message);
    }
    authorization_ = token.empty() ? "" : BearerOf(token);
    expires_ = ParseTime(StringAt(printed, "/status/expirationTimestamp"));
    valid_ = true;
    return {};
  }

  [[nodiscard]] std::string Text(const std::string& what) const {
    return "credential plugin " + plugin_.command + ": " + what;
  }
  [[nodiscard]] Error Fault(const std::string& what) const {
    const std::string hint = plugin_.install_hint.empty() ? "" : "\n" + plugin_.install_hint;
    return UserError(Text(what) + hint);
  }

  [[nodiscard]] Program ToProgram() const {
    Json info = {{"apiVersion", plugin_.api_version},
                 {"kind", "ExecCredential"},
                 {"spec", {{"interactive", false}}}};
    if (!plugin_.cluster.is_null()) info["spec"]["cluster"] = plugin_.cluster;
    Program program{plugin_.command, plugin_.args, plugin_.env};
    program.env.emplace_back("KUBERNETES_EXEC_INFO", info.dump());
    return program;
  }

  const ExecPlugin plugin_;
  const std::shared_ptr<TlsSource> tls_;
  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool running_ = false;  // on a thread that does not hold the mutex meanwhile
  bool valid_ = false;
  std::string authorization_;
  std::optional<double> expires_;  // Unix seconds
};

}  // namespace

std::shared_ptr<Credentials> MakeExecCredentials(ExecPlugin plugin, std::shared_ptr<TlsSource> tls,
                                                 const Clock& clock) {
  return std::make_shared<ExecCredentials>(std::move(plugin), std::move(tls), clock);
}

}  // namespace longstride::kube
