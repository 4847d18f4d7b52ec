// One member of the all-reduce benchmark; scripts around it start one process a member.
//
//   allreduce_bench --rank R --size M --address IP --store FOLDER --bytes N --repeats K --bare
//
// Prints one JSON line on rank 0: {"seconds": [...], "bare_seconds": [...], "mismatches": 0}. With
// --bare it also measures c10d's ProcessGroupGloo called directly, on buffers of its own, in turns
// with ours.
#define USE_C10D_GLOO
#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "runtime/collective/collective.h"
#include "runtime/collective/file_store.h"

namespace {

using longstride::Purpose;
using Clock = std::chrono::steady_clock;

struct Flags {
  longstride::GlooOptions options;
  std::string store;
  size_t bytes = 64 << 20;
  int repeats = 5;
  bool bare = false;
};

c10::intrusive_ptr<c10d::ProcessGroupGloo> MakeBare(const Flags& flags) {
  auto options = c10d::ProcessGroupGloo::Options::create();
  options->devices = {
      c10d::ProcessGroupGloo::createDeviceForHostname(flags.options.address, false)};
  return c10::make_intrusive<c10d::ProcessGroupGloo>(
      c10::make_intrusive<c10d::FileStore>(flags.store + "/bare", flags.options.size),
      flags.options.rank, flags.options.size, options);
}

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

int Run(const Flags& flags) {
  auto made = longstride::MakeGlooCollective(flags.options,
                                             std::make_shared<longstride::FileStore>(flags.store));
  if (!made.ok()) {
    std::fprintf(stderr, "%s\n", made.error().message.c_str());
    return longstride::ExitCodeOf(made.error().code);
  }
  longstride::Collective& ours = **made;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> bare;
  if (flags.bare) bare = MakeBare(flags);

  std::vector<float> data(flags.bytes / sizeof(float));
  std::vector<double> seconds, bare_seconds;
  const float sum = static_cast<float>(flags.options.size * (flags.options.size + 1) / 2);
  int mismatches = 0;
  for (int k = 0; k <= flags.repeats; ++k) {  // the first of each warms up
    std::fill(data.begin(), data.end(), static_cast<float>(flags.options.rank + 1));
    if (!ours.Barrier().ok()) return 1;
    auto start = Clock::now();
    if (!ours.AllReduceSum(std::span<float>(data), Purpose::kModel).ok()) return 1;
    if (k > 0) seconds.push_back(SecondsSince(start));
    for (const float v : data) mismatches += v != sum;
    if (!bare) continue;
    if (!ours.Barrier().ok()) return 1;
    start = Clock::now();
    std::vector<at::Tensor> tensors = {
        at::from_blob(data.data(), {static_cast<int64_t>(data.size())}, at::kFloat)};
    bare->allreduce(tensors)->wait();
    if (k > 0) bare_seconds.push_back(SecondsSince(start));
  }
  if (!ours.Barrier().ok()) return 1;
  if (flags.options.rank == 0) {
    const nlohmann::json line = {{"seconds", seconds},
                                 {"bare_seconds", bare_seconds},
                                 {"mismatches", mismatches},
                                 {"payload_sent", ours.traffic().TotalSent()}};
    std::printf("%s\n", line.dump().c_str());
  }
  return mismatches == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  CLI::App app{"One member of the all-reduce benchmark"};
  app.add_option("--rank", flags.options.rank)->required();
  app.add_option("--size", flags.options.size)->required();
  app.add_option("--address", flags.options.address)->required();
  app.add_option("--store", flags.store)->required();
  app.add_option("--bytes", flags.bytes);
  app.add_option("--repeats", flags.repeats);
  app.add_flag("--bare", flags.bare);
  CLI11_PARSE(app, argc, argv);
  flags.options.timeout = std::chrono::minutes(5);
  return Run(flags);
}
