// The bare LibTorch loop that `make bench-overhead` holds longstride against: the same network,
// batch, threads and malloc settings, torch::optim::SGD, data in memory, and nothing else.
//
//   overhead_bare MODEL BATCH BLOCKS THREADS      MODEL: cnn | resnet20 | gpt
//
// Prints {"samples_per_second": s}, the median over blocks of 16 steps after two blocks of warm-up.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <malloc.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "runtime/model/model.h"

namespace {

using longstride::DataShape;
using longstride::ModelKind;
using longstride::ModelSpec;
using longstride::TensorBatch;

constexpr int64_t kSamples = 2048;
constexpr int kStepsOfBlock = 16;

struct Problem {
  ModelSpec spec;
  DataShape shape;
};

Problem ProblemOf(const std::string& model) {
  Problem problem;
  if (model == "cnn") {
    problem.shape = {{1, 28, 28}, false, 10, 0};
  } else if (model == "resnet20") {
    problem.spec.kind = ModelKind::kResnet;
    problem.shape = {{3, 32, 32}, false, 10, 0};
  } else {
    problem.spec.kind = ModelKind::kGpt;
    problem.shape = {{128}, true, 256, 0};
  }
  return problem;
}

TensorBatch MakeData(const DataShape& shape) {
  std::vector<int64_t> sizes{kSamples};
  sizes.insert(sizes.end(), shape.features.begin(), shape.features.end());
  if (shape.tokens) {
    const at::Tensor ids = at::randint(shape.classes, sizes, at::kLong);
    return {ids, ids.roll(-1, 1).contiguous()};
  }
  return {at::randn(sizes), at::randint(shape.classes, {kSamples}, at::kLong)};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: overhead_bare cnn|resnet20|gpt BATCH BLOCKS THREADS\n");
    return 2;
  }
  // As longstride-worker sets them at start.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
  mallopt(M_TOP_PAD, 64 << 20);
  const int64_t batch = std::atoll(argv[2]);
  const int blocks = std::atoi(argv[3]);
  at::set_num_threads(std::atoi(argv[4]));

  const Problem problem = ProblemOf(argv[1]);
  auto made =
      longstride::MakeModel(problem.spec, problem.shape, longstride::Precision::kFloat32, 1);
  if (!made.ok()) {
    std::fprintf(stderr, "%s\n", made.error().message.c_str());
    return 1;
  }
  longstride::Model& model = **made;
  std::vector<at::Tensor> parameters;
  for (const longstride::NamedTensor& p : model.parameters()) parameters.push_back(p.tensor);
  torch::optim::SGD optimizer(parameters, torch::optim::SGDOptions(0.01).momentum(0.9));

  const TensorBatch data = MakeData(problem.shape);
  at::Tensor order = at::randperm(kSamples, at::kLong);
  int64_t next = 0;
  std::vector<double> rates;
  for (int block = 0; block < blocks + 2; ++block) {
    const auto begin = std::chrono::steady_clock::now();
    for (int step = 0; step < kStepsOfBlock; ++step) {
      if (next + batch > kSamples) {
        order = at::randperm(kSamples, at::kLong);
        next = 0;
      }
      const at::Tensor picked = order.narrow(0, next, batch);
      next += batch;
      optimizer.zero_grad();
      const at::Tensor outputs = model.Forward(data.features.index_select(0, picked));
      model.Loss(outputs, data.target.index_select(0, picked)).backward();
      optimizer.step();
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    if (block >= 2) rates.push_back(static_cast<double>(batch * kStepsOfBlock) / seconds.count());
  }
  std::nth_element(rates.begin(), rates.begin() + blocks / 2, rates.end());
  std::printf("{\"samples_per_second\": %.3f}\n", rates[static_cast<size_t>(blocks) / 2]);
  return 0;
}
