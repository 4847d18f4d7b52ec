#include "runtime/data/idx.h"

#include <filesystem>

#include "core/base/format.h"
#include "runtime/data/dense_dataset.h"
#include "runtime/data/inflate.h"

namespace longstride::data {
namespace {

constexpr uint32_t kUnsignedBytes = 0x0800;

struct Header {
  std::vector<int64_t> dimensions;
  uint64_t file_size = 0;  // that the dimensions ask for, header included
};

size_t HeaderSize(int rank) {
  return 4 + 4 * static_cast<size_t>(rank);
}

Result<Header> ParseHeader(std::span<const uint8_t> bytes, const std::string& name, int rank) {
  const uint32_t wanted = kUnsignedBytes | static_cast<uint32_t>(rank);
  const std::string magic = Format("magic number 0x%08x (IDX, unsigned bytes, %d dimension%s)",
                                   wanted, rank, rank == 1 ? "" : "s");
  if (bytes.size() >= 4 && LoadBig32(bytes.data()) != wanted) {
    return BrokenFile(name, 0, Format("0x%08x", LoadBig32(bytes.data())), magic,
                      "check that this is the file its name says");
  }
  if (bytes.size() < HeaderSize(rank)) {
    return BrokenFile(name, bytes.size(), "the end of the file",
                      Format("a header of %zu bytes", HeaderSize(rank)),
                      "the file is cut short: fetch it again");
  }
  Header header;
  uint64_t elements = 1;
  for (int i = 0; i < rank; ++i) {
    const size_t offset = 4 + 4 * static_cast<size_t>(i);
    const uint32_t extent = LoadBig32(bytes.data() + offset);
    if (extent == 0 || !MultiplyFits(elements, extent, &elements)) {
      return BrokenFile(name, offset, Format("%u for dimension %d", extent, i),
                        "at least 1 and a product below 2^64", "the header is damaged");
    }
    header.dimensions.push_back(extent);
  }
  if (__builtin_add_overflow(elements, HeaderSize(rank), &header.file_size)) {
    return BrokenFile(name, 4, ShapeText(header.dimensions), "dimensions of less than 2^64 bytes",
                      "the header is damaged");
  }
  return header;
}

Error WrongSize(const std::string& name, uint64_t size, const Header& header) {
  const std::string wanted =
      std::to_string(header.file_size) + " bytes for dimensions " + ShapeText(header.dimensions);
  if (size < header.file_size) {
    return BrokenFile(name, size, "the end of the file", wanted,
                      "the file is cut short: fetch it again");
  }
  return BrokenFile(name, header.file_size, "more bytes", "the end of the file after " + wanted,
                    "the file is too long for its header: fetch it again");
}

Result<Bytes> Decompress(const Bytes& file, const std::string& name, int rank) {
  const size_t header_size = HeaderSize(rank);
  LONGSTRIDE_ASSIGN_OR_RETURN(const Inflated start, Inflate(file.view, DeflateWrapper::kGzip,
                                                            header_size, header_size, name));
  LONGSTRIDE_ASSIGN_OR_RETURN(const Header header, ParseHeader(start.bytes, name, rank));
  if (header.file_size / kMaxDeflateRatio > file.size()) {
    return BrokenFile(name, 4, "dimensions " + ShapeText(header.dimensions),
                      Format("no more than %zu compressed bytes can hold", file.size()),
                      "the header is damaged or the file is cut short: fetch it again");
  }
  // One byte of room more than is right shows a content that is too long.
  LONGSTRIDE_ASSIGN_OR_RETURN(Inflated all, Inflate(file.view, DeflateWrapper::kGzip,
                                                    header.file_size + 1, header.file_size, name));
  if (!all.finished && all.bytes.size() <= header.file_size) {
    return BrokenFile(name, file.size(), "the end of the file", "more of its gzip stream",
                      "the file is cut short: fetch it again");
  }
  if (all.bytes.size() != header.file_size) {
    return WrongSize(name + " (decompressed)", all.bytes.size(), header);
  }
  if (all.consumed != file.size()) {
    return BrokenFile(name, all.consumed, "more bytes", "the end of the file after its gzip stream",
                      "compress the content as one stream");
  }
  return OwnBytes(std::move(all.bytes));
}

// The file in `folder`, plain or compressed, with MNIST's name or the common variant with a dot.
Result<IdxArray> OpenIdx(const std::filesystem::path& folder, const std::string& stem, int rank,
                         std::string* path) {
  const std::string kind = Format("idx%d-ubyte", rank);
  for (const char* separator : {"-", "."}) {
    for (const char* suffix : {"", ".gz"}) {
      *path = folder / (stem + separator + kind + suffix);
      std::error_code ignored;
      if (!std::filesystem::exists(*path, ignored)) continue;
      LONGSTRIDE_ASSIGN_OR_RETURN(const Bytes file, MapFile(*path));
      return ParseIdx(file, *path, rank);
    }
  }
  return UserError(
      Format("spec.data.path: %s: no file %s-%s or %s-%s.gz there; an IDX data set needs "
             "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte "
             "and t10k-labels-idx1-ubyte",
             folder.c_str(), stem.c_str(), kind.c_str(), stem.c_str(), kind.c_str()));
}

struct Part {
  DenseFeatures features;
  std::vector<int64_t> labels;
  std::string images_path;
  std::string labels_path;
};

Result<Part> OpenPart(const std::string& folder, const std::string& prefix) {
  Part part;
  LONGSTRIDE_ASSIGN_OR_RETURN(const IdxArray images,
                              OpenIdx(folder, prefix + "-images", 3, &part.images_path));
  LONGSTRIDE_ASSIGN_OR_RETURN(const IdxArray labels,
                              OpenIdx(folder, prefix + "-labels", 1, &part.labels_path));
  if (labels.dimensions[0] != images.dimensions[0]) {
    return BrokenFile(part.labels_path, 4, std::to_string(labels.dimensions[0]) + " labels",
                      std::to_string(images.dimensions[0]) + " as in " + part.images_path,
                      "take both files from the same data set");
  }
  const int64_t pixels = images.dimensions[1] * images.dimensions[2];
  part.features.type = ElementType::kUint8;
  part.features.shape = {1, images.dimensions[1], images.dimensions[2]};
  part.features.segments = {{images.elements, static_cast<size_t>(pixels), images.dimensions[0]}};
  part.labels.assign(labels.elements.view.begin(), labels.elements.view.end());
  return part;
}

}  // namespace

Result<IdxArray> ParseIdx(const Bytes& file, const std::string& name, int rank) {
  Bytes content = file;
  const bool gzip = file.size() >= 2 && file.view[0] == 0x1f && file.view[1] == 0x8b;
  if (gzip) {
    LONGSTRIDE_ASSIGN_OR_RETURN(content, Decompress(file, name, rank));
  }
  LONGSTRIDE_ASSIGN_OR_RETURN(Header header, ParseHeader(content.view, name, rank));
  if (content.size() != header.file_size) return WrongSize(name, content.size(), header);
  const size_t start = HeaderSize(rank);
  return IdxArray{std::move(header.dimensions), content.Slice(start, content.size() - start)};
}

Result<DatasetPair> OpenIdxDatasets(const DataSpec& spec) {
  LONGSTRIDE_ASSIGN_OR_RETURN(Part train, OpenPart(spec.path, "train"));
  LONGSTRIDE_ASSIGN_OR_RETURN(Part evaluation, OpenPart(spec.path, "t10k"));
  if (evaluation.features.shape != train.features.shape) {
    return BrokenFile(evaluation.images_path, 8,
                      "images of " + ShapeText(evaluation.features.shape),
                      ShapeText(train.features.shape) + " as in " + train.images_path,
                      "take all files from the same data set");
  }
  const int64_t classes = spec.classes > 0 ? spec.classes : CountClasses(train.labels);
  const std::string allowed =
      Format("0 to %d, ", static_cast<int>(classes - 1)) +
      (spec.classes > 0 ? "as spec.data.classes says" : "the largest in " + train.labels_path);
  for (const Part* part : {&train, &evaluation}) {
    for (size_t i = 0; i < part->labels.size(); ++i) {
      if (part->labels[i] < classes) continue;
      return BrokenFile(part->labels_path, HeaderSize(1) + i,
                        Format("label %d", static_cast<int>(part->labels[i])), allowed,
                        "take all files from the same data set");
    }
  }
  return MakeDensePair(std::move(train.features), {std::move(train.labels), classes, {}, 0},
                       std::move(evaluation.features),
                       {std::move(evaluation.labels), classes, {}, 0}, spec.normalization);
}

}  // namespace longstride::data
