#include "controller/kube/token_bucket.h"

#include <algorithm>

namespace longstride::kube {

void TokenBucket::Fill(TimePoint now) {
  if (started_ && now > filled_at_) {
    tokens_ = std::min(burst_, tokens_ + ToSeconds(now - filled_at_) * per_second_);
  }
  filled_at_ = started_ ? std::max(filled_at_, now) : now;
  started_ = true;
}

Duration TokenBucket::Reserve(TimePoint now) {
  Fill(now);
  tokens_ -= 1;
  return tokens_ >= 0 ? Duration::zero() : FromSeconds(-tokens_ / per_second_);
}

std::optional<Duration> TokenBucket::ReserveWithin(TimePoint now, Duration most) {
  const Duration wait = Reserve(now);
  if (wait <= most) return wait;
  tokens_ += 1;
  return std::nullopt;
}

bool TokenBucket::TryTake(TimePoint now) {
  Fill(now);
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

}  // namespace longstride::kube
