#include "core/schedule/norm_test.h"

#include <algorithm>
#include <limits>

namespace longstride {
namespace {

// The smallest batch b with noise / b <= signal.
double BatchFor(double noise, double signal) {
  if (noise <= 0) return 0;
  if (signal <= 0) return std::numeric_limits<double>::infinity();
  return noise / signal;
}

double RequiredBatch(const NormTestSpec& spec, const TestTerms& terms, double norm_squared) {
  if (spec.test == BatchTest::kNorm) {
    return BatchFor(terms.variance, spec.eta * spec.eta * norm_squared);
  }
  // Both sides divided by ||gbar||^2, so that a small gradient's fourth power cannot underflow.
  if (norm_squared <= 0) return BatchFor(terms.variance, 0);
  const double along = terms.inner_product_variance / norm_squared;
  const double inner_product = BatchFor(along, spec.theta * spec.theta * norm_squared);
  if (spec.test == BatchTest::kInnerProduct) return inner_product;
  const double orthogonal = BatchFor(terms.variance - along, spec.nu * spec.nu * norm_squared);
  return std::max(inner_product, orthogonal);
}

}  // namespace

TestOutcome TestBatch(const NormTestSpec& spec, const TestTerms& terms, int64_t batch,
                      int64_t workers) {
  const double current = static_cast<double>(batch);
  const double norm_squared = std::max(0.0, terms.gradient_norm_squared);
  TestOutcome outcome;
  if (terms.variance <= 0 && norm_squared <= 0) {
    outcome.required_batch = current;
  } else {
    const double scope = spec.scope == TestScope::kLocal ? static_cast<double>(workers) : 1.0;
    outcome.required_batch = scope * RequiredBatch(spec, terms, norm_squared);
  }
  outcome.ratio = outcome.required_batch / current;
  outcome.passed = outcome.required_batch <= current;
  return outcome;
}

}  // namespace longstride
