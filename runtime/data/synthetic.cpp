#include "runtime/data/synthetic.h"

#include <algorithm>
#include <bit>

#include "core/base/format.h"
#include "core/base/random.h"
#include "runtime/data/bytes.h"

namespace longstride::data {
namespace {

// What a hash is for; part of its key, so that no two uses share a value.
enum Stream : uint64_t { kTable, kLabel, kFeature, kTarget, kShift, kStart, kStep, kJump };

constexpr uint64_t kMaxTable = uint64_t{1} << 28;  // floats
constexpr size_t kGrid = 4;                        // knots of an image pattern along each side
constexpr int64_t kMaxShift = 2;

float NormalOf(uint64_t word) {
  // Four 16-bit lanes, each uniform with mean 32767.5; the sum has variance (2^32 - 1) / 3.
  const uint64_t sum =
      (word & 0xffff) + (word >> 16 & 0xffff) + (word >> 32 & 0xffff) + (word >> 48);
  return (static_cast<float>(sum) - 131070.0F) * (1.7320508F / 65536.0F);
}

// What train and evaluation share: the distribution, as a table of class centres, class patterns,
// or regression weights [classes, features].
struct World {
  SyntheticTask task;
  std::vector<int64_t> shape;
  size_t width = 1;
  uint64_t classes = 0;
  double noise = 0;
  uint64_t seed = 0;
  std::vector<float> table;

  [[nodiscard]] float Normal(uint64_t stream, uint64_t a, uint64_t b) const {
    return NormalOf(Hash64(seed, stream, a, b));
  }
  [[nodiscard]] uint64_t Label(uint64_t sample) const {
    return Hash64(seed, kLabel, sample) % classes;
  }
};

// A grid of kGrid x kGrid normal values per class and channel, spread bilinearly over the image.
void FillPatterns(World& world) {
  const auto height = static_cast<size_t>(world.shape[1]);
  const auto width = static_cast<size_t>(world.shape[2]);
  const size_t planes = world.table.size() / (height * width);
  float* out = world.table.data();
  for (size_t p = 0; p < planes; ++p) {
    const auto knot = [&](size_t y, size_t x) {
      return world.Normal(kTable, p, std::min(y, kGrid - 1) * kGrid + std::min(x, kGrid - 1));
    };
    for (size_t y = 0; y < height; ++y) {
      for (size_t x = 0; x < width; ++x) {
        const float v = static_cast<float>(y * (kGrid - 1)) / static_cast<float>(height);
        const float u = static_cast<float>(x * (kGrid - 1)) / static_cast<float>(width);
        const auto y0 = static_cast<size_t>(v);
        const auto x0 = static_cast<size_t>(u);
        const float fv = v - static_cast<float>(y0);
        const float fu = u - static_cast<float>(x0);
        const float top = knot(y0, x0) * (1 - fu) + knot(y0, x0 + 1) * fu;
        const float bottom = knot(y0 + 1, x0) * (1 - fu) + knot(y0 + 1, x0 + 1) * fu;
        *out++ = top * (1 - fv) + bottom * fv;
      }
    }
  }
}

void FillTable(World& world) {
  if (world.task == SyntheticTask::kTokens) return;
  world.table.resize(world.classes * world.width);
  if (world.task == SyntheticTask::kImages) return FillPatterns(world);
  float scale = 1;
  if (world.task == SyntheticTask::kRegression) {
    scale = static_cast<float>(1 / __builtin_sqrt(static_cast<double>(world.width)));
  }
  for (size_t i = 0; i < world.table.size(); ++i)
    world.table[i] = scale * world.Normal(kTable, i, 0);
}

class SyntheticDataset final : public Dataset {
 public:
  SyntheticDataset(std::shared_ptr<const World> world, uint64_t first, int64_t size)
      : world_(std::move(world)), first_(first), size_(size) {
    shape_.features = world_->shape;
    shape_.tokens = world_->task == SyntheticTask::kTokens;
    const auto classes = static_cast<int64_t>(world_->classes);
    (world_->task == SyntheticTask::kRegression ? shape_.outputs : shape_.classes) = classes;
  }

  [[nodiscard]] int64_t size() const override { return size_; }
  [[nodiscard]] const DataShape& shape() const override { return shape_; }

  void Read(std::span<const int64_t> indices, Batch& batch) const override {
    const size_t n = indices.size();
    const bool regression = shape_.outputs > 0;
    batch.size = static_cast<int64_t>(n);
    batch.floats.resize(shape_.tokens ? 0 : n * world_->width);
    batch.ids.resize(shape_.tokens ? n * world_->width : 0);
    batch.labels.resize(shape_.tokens ? n * world_->width : regression ? 0 : n);
    batch.targets.resize(regression ? n * world_->classes : 0);
    for (size_t i = 0; i < n; ++i) {
      const uint64_t sample = first_ + static_cast<uint64_t>(indices[i]);
      const size_t at = i * world_->width;
      switch (world_->task) {
        case SyntheticTask::kClassification:
          batch.labels[i] = Classification(sample, &batch.floats[at]);
          break;
        case SyntheticTask::kImages:
          batch.labels[i] = Image(sample, &batch.floats[at]);
          break;
        case SyntheticTask::kRegression:
          Regression(sample, &batch.floats[at], &batch.targets[i * world_->classes]);
          break;
        case SyntheticTask::kTokens:
          Tokens(sample, &batch.ids[at], &batch.labels[at]);
          break;
      }
    }
  }

 private:
  int64_t Classification(uint64_t sample, float* x) const {
    const World& w = *world_;
    const uint64_t label = w.Label(sample);
    const float* centre = &w.table[label * w.width];
    const auto noise = static_cast<float>(w.noise);
    for (size_t j = 0; j < w.width; ++j) x[j] = centre[j] + noise * w.Normal(kFeature, sample, j);
    return static_cast<int64_t>(label);
  }

  int64_t Image(uint64_t sample, float* x) const {
    const World& w = *world_;
    const uint64_t label = w.Label(sample);
    const float* pattern = &w.table[label * w.width];
    const auto noise = static_cast<float>(w.noise);
    const int64_t height = w.shape[1];
    const int64_t width = w.shape[2];
    const uint64_t word = Hash64(w.seed, kShift, sample);
    const auto shift = [](uint64_t bits, int64_t extent) {
      const auto by = static_cast<int64_t>(bits % (2 * kMaxShift + 1)) - kMaxShift;
      return (by % extent + extent) % extent;
    };
    const int64_t dy = shift(word & 0xffffffff, height);
    const int64_t dx = shift(word >> 32, width);
    size_t j = 0;
    for (int64_t c = 0; c < w.shape[0]; ++c) {
      for (int64_t y = 0; y < height; ++y) {
        const float* row = pattern + (c * height + (y + dy) % height) * width;
        for (int64_t i = 0; i < width; ++i, ++j) {
          x[j] = row[(i + dx) % width] + noise * w.Normal(kFeature, sample, j);
        }
      }
    }
    return static_cast<int64_t>(label);
  }

  void Regression(uint64_t sample, float* x, float* y) const {
    const World& w = *world_;
    for (size_t j = 0; j < w.width; ++j) x[j] = w.Normal(kFeature, sample, j);
    for (size_t k = 0; k < w.classes; ++k) {
      double sum = w.noise * static_cast<double>(w.Normal(kTarget, sample, k));
      for (size_t j = 0; j < w.width; ++j) {
        sum += static_cast<double>(w.table[k * w.width + j]) * static_cast<double>(x[j]);
      }
      y[k] = static_cast<float>(sum);
    }
  }

  void Tokens(uint64_t sample, int64_t* ids, int64_t* next_ids) const {
    const World& w = *world_;
    uint64_t token = Hash64(w.seed, kStart, sample) % w.classes;
    for (size_t t = 0; t < w.width; ++t) {
      ids[t] = static_cast<int64_t>(token);
      const uint64_t word = Hash64(w.seed, kStep, sample, t);
      if (UniformOf(word) < w.noise) {
        token = Hash64(w.seed, kJump, sample, t) % w.classes;
      } else {
        const auto choice = static_cast<uint64_t>(std::countr_zero((word & 7) | 8));
        token = Hash64(w.seed, kTable, token, choice) % w.classes;
      }
      next_ids[t] = static_cast<int64_t>(token);
    }
  }

  std::shared_ptr<const World> world_;
  uint64_t first_;
  int64_t size_;
  DataShape shape_;
};

Status Check(const DataSpec& spec) {
  const SyntheticData& s = spec.synthetic;
  const auto refuse = [](const std::string& what) {
    return UserError("spec.data.synthetic." + what);
  };
  if (s.samples < 1) return refuse("samples: must be at least 1");
  if (s.evaluation_samples < 1) return refuse("evaluationSamples: must be at least 1");
  if (s.classes < (s.task == SyntheticTask::kRegression ? 1 : 2)) return refuse("classes: too few");
  if (!(s.noise >= 0) || s.noise > 1e6) return refuse("noise: must be a number from 0 to 1e6");
  if (s.task == SyntheticTask::kTokens) {
    if (spec.context < 1) return UserError("spec.data.context: must be at least 1");
    return {};
  }
  if (s.task == SyntheticTask::kImages && s.shape.size() != 3) {
    return refuse("shape: is " + ShapeText(s.shape) + "; images need [channels, height, width]");
  }
  uint64_t table = static_cast<uint64_t>(s.classes);
  for (int64_t extent : s.shape) {
    if (extent < 1 || !MultiplyFits(table, static_cast<uint64_t>(extent), &table) ||
        table > kMaxTable) {
      return refuse("shape: is " + ShapeText(s.shape) +
                    "; needs positive extents and shape x classes <= 268,435,456");
    }
  }
  if (s.shape.empty())
    return refuse("shape: is empty; give [features] or [channels, height, width]");
  return {};
}

}  // namespace

Result<DatasetPair> OpenSyntheticDatasets(const DataSpec& spec, uint64_t seed) {
  LONGSTRIDE_RETURN_IF_ERROR(Check(spec));
  const SyntheticData& s = spec.synthetic;
  auto world = std::make_shared<World>();
  world->task = s.task;
  world->shape = s.task == SyntheticTask::kTokens ? std::vector<int64_t>{spec.context} : s.shape;
  for (int64_t extent : world->shape) world->width *= static_cast<size_t>(extent);
  world->classes = static_cast<uint64_t>(s.classes);
  world->noise = s.noise;
  world->seed = seed;
  FillTable(*world);
  DatasetPair pair;
  pair.train = std::make_unique<SyntheticDataset>(world, 0, s.samples);
  pair.evaluation = std::make_unique<SyntheticDataset>(world, static_cast<uint64_t>(s.samples),
                                                       s.evaluation_samples);
  return pair;
}

}  // namespace longstride::data
