#include "cli/run_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/base/format.h"
#include "core/protocol/json.h"
#include "runtime/checkpoint/checkpoint_directory.h"

namespace longstride {
namespace {

namespace fs = std::filesystem;

constexpr std::streamoff kTailBytes = 64 * 1024;

}  // namespace

Status RunDirectory::Create() const {
  std::error_code error;
  if (fs::exists(rounds(), error) || fs::exists(job(), error)) {
    return UserError(path_ +
                     " holds a run already; choose another --out, or continue it with --resume " +
                     path_);
  }
  for (const std::string& folder : {path_, path_ + "/logs", checkpoints()}) {
    fs::create_directories(folder, error);
    if (error) return UserError("cannot make " + folder + ": " + error.message());
  }
  return Status();
}

Status RunDirectory::CheckExists() const {
  std::error_code error;
  for (const std::string& file : {job(), rounds()}) {
    if (!fs::is_regular_file(file, error)) {
      return UserError(path_ + " is not a run directory: " + file + " is missing");
    }
  }
  return Status();
}

int64_t RunDirectory::NewestCheckpoint() const {
  const auto rounds = checkpoint::CheckpointDirectory(checkpoints()).List();
  return rounds.ok() && !rounds.value().empty() ? rounds.value().back() : 0;
}

std::string RunDirectory::WorkerLog(int worker) const {
  return path_ + "/logs/worker-" + std::to_string(worker) + ".log";
}

std::string DefaultRunPath(const std::string& job_name, double unix_seconds) {
  const std::time_t time = static_cast<std::time_t>(unix_seconds);
  std::tm utc{};
  gmtime_r(&time, &utc);
  char stamp[32];
  std::strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &utc);
  const std::string base = "runs/" + job_name + "-" + stamp;
  std::string path = base;
  std::error_code error;
  for (int i = 2; fs::exists(path, error); ++i) path = base + "-" + std::to_string(i);
  return path;
}

Status WriteFacts(const std::string& path, const RunFacts& facts) {
  const nlohmann::ordered_json json{{"parameters", facts.parameters},
                                    {"trainSamples", facts.train_samples}};
  return WriteFile(path, json.dump(2) + "\n");
}

Result<RunFacts> ReadFacts(const std::string& path) {
  LONGSTRIDE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  RunFacts facts;
  for (auto [key, field] :
       {std::pair{"parameters", &facts.parameters}, {"trainSamples", &facts.train_samples}}) {
    if (!json.is_object() || !json.contains(key) || !json[key].is_number_integer()) {
      return DataError(path + ": expected a JSON object with the integer \"" + key + "\"");
    }
    *field = json[key].get<int64_t>();
  }
  return facts;
}

Result<std::vector<Plan>> ReadPlans(const std::string& path) {
  std::map<int64_t, Plan> by_version;
  std::ifstream in(path);
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.empty()) continue;
    auto plan = ParsePlan(line);
    if (plan.ok()) {
      by_version[plan->version] = std::move(*plan);
    } else if (in.peek() != std::ifstream::traits_type::eof() && line.back() == '}') {
      return DataError(
          Format("%s:%lld: not a plan: ", path.c_str(), static_cast<long long>(number)) +
          plan.error().message);
    }
  }
  std::vector<Plan> plans;
  for (auto& [version, plan] : by_version) plans.push_back(std::move(plan));
  return plans;
}

Status WriteFile(const std::string& path, const std::string& text, bool secret) {
  const std::string part = path + ".part";
  const int fd = open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, secret ? 0600 : 0644);
  if (fd < 0) return UserError("cannot write " + part + ": " + std::strerror(errno));
  // An older file keeps its mode; a secret must not.
  if (secret) fchmod(fd, 0600);
  const ssize_t written = write(fd, text.data(), text.size());
  const int error = errno;
  close(fd);
  if (written != static_cast<ssize_t>(text.size())) {
    unlink(part.c_str());
    return ResourceError("cannot write " + path + ": " +
                         (written < 0 ? std::strerror(error) : "the disk is full"));
  }
  if (rename(part.c_str(), path.c_str()) != 0) {
    const std::string why = std::strerror(errno);
    unlink(part.c_str());
    return UserError("cannot write " + path + ": " + why);
  }
  return Status();
}

Result<std::string> ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return UserError("cannot read " + path + ": " + std::strerror(errno));
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::string TailOf(const std::string& path, int lines) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) return "";
  const std::streamoff size = in.tellg();
  in.seekg(std::max<std::streamoff>(0, size - kTailBytes));
  std::ostringstream buffer;
  buffer << in.rdbuf();
  std::string text = buffer.str();
  while (!text.empty() && text.back() == '\n') text.pop_back();
  size_t begin = text.size();
  for (int i = 0; i < lines && begin != std::string::npos && begin > 0; ++i)
    begin = text.rfind('\n', begin - 1);
  return begin == std::string::npos || begin == 0 ? text : text.substr(begin + 1);
}

}  // namespace longstride
