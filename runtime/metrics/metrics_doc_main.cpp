// Prints docs/metrics.md. `make verify` writes the file with it; a test fails when the file is
// stale.
#include <iostream>

#include "runtime/metrics/metric_table.h"

int main() {
  std::cout << longstride::RenderMetricsMarkdown();
  return 0;
}
