#include "controller/app/identities.h"

#include <algorithm>
#include <utility>

#include "controller/reconcile/labels.h"
#include "controller/reconcile/observed.h"

namespace longstride {
namespace {

constexpr Duration kReviewDeadline = std::chrono::seconds(5);
constexpr size_t kMostQuestions = 4096;
// A pod that is forgotten is told to try again in place of that it is gone.
constexpr size_t kMostGone = 16384;
constexpr const char* kPodUid = "authentication.kubernetes.io/pod-uid";

TokenReviewStatus StatusOf(const kube::TokenIdentity& identity) {
  TokenReviewStatus status;
  status.authenticated = identity.authenticated;
  status.error = identity.error;
  status.audiences = identity.audiences;
  status.username = identity.username;
  const auto uid = identity.extra.find(kPodUid);
  if (uid != identity.extra.end() && uid->second.size() == 1) status.pod_uid = uid->second.front();
  return status;
}

}  // namespace

PodIndex::PodIndex(const kube::Cache& jobs) : jobs_(jobs), gone_(kMostGone) {}

kube::CacheHandlers PodIndex::Handlers() {
  return {[this](const kube::ObjectPtr& pod) { Put(pod); },
          [this](const kube::ObjectPtr& before, const kube::ObjectPtr& after) {
            if (before->uid != after->uid) Erase(before->uid);
            Put(after);
          },
          [this](const kube::ObjectPtr& pod) { Erase(pod->uid); }};
}

void PodIndex::Put(const kube::ObjectPtr& pod) {
  const std::optional<PodView> view = ViewOfPod(pod->value, pod->owner_uid);
  const nlohmann::json& labels = kube::ValueAt(pod->value, "/metadata/labels");
  const std::string job = view ? labels.value(kJobNameLabel, std::string()) : "";
  // One that is being deleted still ends its round, and reports it.
  if (!view || !view->ours || job.empty() || view->terminal()) return Erase(pod->uid);
  const std::lock_guard lock(mutex_);
  pods_[pod->uid] = {{{pod->key.namespace_, job}, view->place}, pod->owner_uid};
}

void PodIndex::Erase(const std::string& uid) {
  const std::lock_guard lock(mutex_);
  pods_.erase(uid);
  gone_.GetOr(uid, [] { return std::monostate(); });
}

FoundPod PodIndex::Find(const std::string& uid) const {
  Known known;
  {
    const std::lock_guard lock(mutex_);
    const auto it = pods_.find(uid);
    if (it == pods_.end()) return {.live = std::nullopt, .gone = gone_.Contains(uid)};
    known = it->second;
  }
  const kube::ObjectPtr job = jobs_.Find({known.pod.job.namespace_, known.pod.job.name});
  if (!job || job->uid != known.owner_uid) return {.live = std::nullopt, .gone = true};
  return {.live = known.pod};
}

ApiTokenReviewer::ApiTokenReviewer(kube::Client& client, int threads) : client_(client) {
  for (int i = 0; i < threads; ++i)
    threads_.emplace_back([this](const std::stop_token& stop) { Run(stop); });
}

ApiTokenReviewer::~ApiTokenReviewer() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
  for (Question& question : questions_)
    question.done(InterruptedError("the controller is stopping"));
}

void ApiTokenReviewer::Review(const std::string& token, const std::string& audience, Done done) {
  {
    const std::lock_guard lock(mutex_);
    if (questions_.size() < kMostQuestions) {
      questions_.push_back({token, audience, std::move(done)});
      changed_.notify_one();
      return;
    }
  }
  done(TransientError("too many tokens wait to be reviewed"));
}

void ApiTokenReviewer::Run(const std::stop_token& stop) {
  while (true) {
    Question question;
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [this] { return !questions_.empty(); }) ||
          stop.stop_requested())
        return;
      question = std::move(questions_.front());
      questions_.pop_front();
    }
    const auto identity =
        client_.ReviewToken(question.token, {question.audience}, {kReviewDeadline, stop});
    if (identity.ok()) {
      question.done(StatusOf(*identity));
    } else {
      question.done(Error(identity.error()));
    }
  }
}

}  // namespace longstride
