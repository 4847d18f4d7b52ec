// Prints docs/controller-metrics.md. `make verify` writes the file with it; a test fails when the
// file is stale.
#include <iostream>

#include "controller/metrics/metric_table.h"

int main() {
  std::cout << longstride::controller::RenderControllerMetricsMarkdown();
  return 0;
}
