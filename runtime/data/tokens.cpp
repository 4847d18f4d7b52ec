#include "runtime/data/tokens.h"

#include <algorithm>

#include "core/base/format.h"
#include "runtime/data/bytes.h"

namespace longstride::data {
namespace {

constexpr int64_t kTextVocabulary = 256;
// The most that is taken from the data itself: a larger id means that the file holds another type.
constexpr int64_t kMaxDerivedVocabulary = 1'000'000;

// `count` tokens of type T (uint8_t, uint16_t or uint32_t) in mapped memory.
template <typename T>
class TokenDataset final : public Dataset {
 public:
  TokenDataset(Bytes bytes, int64_t context, int64_t vocabulary)
      : bytes_(std::move(bytes)), context_(context) {
    shape_.features = {context};
    shape_.tokens = true;
    shape_.classes = vocabulary;
  }

  // The last token only ever is a label.
  [[nodiscard]] int64_t size() const override {
    return (static_cast<int64_t>(bytes_.size() / sizeof(T)) - 1) / context_;
  }
  [[nodiscard]] const DataShape& shape() const override { return shape_; }

  void Read(std::span<const int64_t> indices, Batch& batch) const override {
    batch.size = static_cast<int64_t>(indices.size());
    batch.floats.clear();
    batch.targets.clear();
    const size_t length = indices.size() * static_cast<size_t>(context_);
    batch.ids.resize(length);
    batch.labels.resize(length);
    size_t out = 0;
    for (int64_t index : indices) {
      const uint8_t* from = bytes_.view.data() + static_cast<size_t>(index * context_) * sizeof(T);
      for (int64_t t = 0; t < context_; ++t, ++out, from += sizeof(T)) {
        batch.ids[out] = LoadLittle<T>(from);
        batch.labels[out] = LoadLittle<T>(from + sizeof(T));
      }
    }
  }

 private:
  Bytes bytes_;
  int64_t context_;
  DataShape shape_;
};

template <typename T>
uint64_t LargestId(const Bytes& bytes) {
  T largest = 0;
  const uint8_t* at = bytes.view.data();
  for (size_t i = 0; i < bytes.size(); i += sizeof(T))
    largest = std::max(largest, LoadLittle<T>(at + i));
  return largest;
}

template <typename T>
Status CheckIds(const Bytes& bytes, const std::string& path, int64_t vocabulary) {
  if (LargestId<T>(bytes) < static_cast<uint64_t>(vocabulary)) return {};
  const uint8_t* at = bytes.view.data();
  size_t i = 0;
  while (LoadLittle<T>(at + i) < static_cast<uint64_t>(vocabulary)) i += sizeof(T);
  return BrokenFile(
      path, i, Format("token %llu", static_cast<unsigned long long>(LoadLittle<T>(at + i))),
      Format("0 to %lld", static_cast<long long>(vocabulary - 1)),
      "check spec.data.tokenType, or set spec.data.vocabulary to what the file needs");
}

Result<Bytes> OpenTokens(const std::string& path, size_t token_size) {
  LONGSTRIDE_ASSIGN_OR_RETURN(Bytes bytes, MapFile(path));
  if (bytes.size() % token_size != 0) {
    return BrokenFile(path, bytes.size(), "the end of the file",
                      Format("a size of whole tokens of %zu bytes", token_size),
                      "the file is cut short, or spec.data.tokenType is not what it holds");
  }
  return bytes;
}

Status CheckLength(const Bytes& bytes, size_t token_size, int64_t context,
                   const std::string& path) {
  const uint64_t tokens = bytes.size() / token_size;
  if (tokens > static_cast<uint64_t>(context)) return {};
  return BrokenFile(path, bytes.size(),
                    Format("the end after %llu tokens", static_cast<unsigned long long>(tokens)),
                    Format("at least %lld, one sample of spec.data.context and its last label",
                           static_cast<long long>(context) + 1),
                    "give more data or a smaller context");
}

template <typename T>
Result<DatasetPair> Open(const DataSpec& spec, int64_t vocabulary) {
  LONGSTRIDE_ASSIGN_OR_RETURN(Bytes train, OpenTokens(spec.path, sizeof(T)));
  Bytes evaluation;
  std::string evaluation_path = spec.evaluation_path;
  if (evaluation_path.empty()) {
    const size_t tokens = train.size() / sizeof(T);
    const size_t kept = (tokens - tokens / 10) * sizeof(T);
    evaluation_path = spec.path + " (its last tenth)";
    evaluation = train.Slice(kept, train.size() - kept);
    train = train.Slice(0, kept);
  } else {
    LONGSTRIDE_ASSIGN_OR_RETURN(evaluation, OpenTokens(evaluation_path, sizeof(T)));
  }
  LONGSTRIDE_RETURN_IF_ERROR(CheckLength(train, sizeof(T), spec.context, spec.path));
  LONGSTRIDE_RETURN_IF_ERROR(CheckLength(evaluation, sizeof(T), spec.context, evaluation_path));
  if (sizeof(T) > 1) {  // every byte is a token of text
    const int64_t bound = vocabulary == 0 ? kMaxDerivedVocabulary : vocabulary;
    LONGSTRIDE_RETURN_IF_ERROR(CheckIds<T>(train, spec.path, bound));
    LONGSTRIDE_RETURN_IF_ERROR(CheckIds<T>(evaluation, evaluation_path, bound));
  }
  if (vocabulary == 0) {
    vocabulary = static_cast<int64_t>(std::max(LargestId<T>(train), LargestId<T>(evaluation))) + 1;
  }
  DatasetPair pair;
  pair.train = std::make_unique<TokenDataset<T>>(std::move(train), spec.context, vocabulary);
  pair.evaluation =
      std::make_unique<TokenDataset<T>>(std::move(evaluation), spec.context, vocabulary);
  return pair;
}

}  // namespace

Result<DatasetPair> OpenTokenDatasets(const DataSpec& spec) {
  if (spec.context < 1) return UserError("spec.data.context: must be at least 1");
  if (spec.format == DataFormat::kText) return Open<uint8_t>(spec, kTextVocabulary);
  if (spec.vocabulary < 0) return UserError("spec.data.vocabulary: must be at least 0");
  if (spec.token_type == TokenType::kUint16) return Open<uint16_t>(spec, spec.vocabulary);
  return Open<uint32_t>(spec, spec.vocabulary);
}

}  // namespace longstride::data
