#include "runtime/data/zip.h"

#include <zlib.h>

#include <algorithm>

#include "core/base/format.h"
#include "runtime/data/inflate.h"

namespace longstride::data {
namespace {

constexpr uint32_t kEndMagic = 0x06054b50;
constexpr uint32_t kDirectoryMagic = 0x02014b50;
constexpr uint32_t kLocalMagic = 0x04034b50;
constexpr size_t kEndSize = 22;
constexpr size_t kDirectorySize = 46;
constexpr size_t kLocalSize = 30;
constexpr size_t kMaxComment = 65535;
constexpr int kMaxEntries = 1024;
constexpr uint32_t kZip64 = 0xffffffff;
constexpr const char* kDamaged = "the archive is damaged: save it again with numpy.savez";

uint16_t Load16(const uint8_t* p) {
  return LoadLittle<uint16_t>(p);
}
uint32_t Load32(const uint8_t* p) {
  return LoadLittle<uint32_t>(p);
}

uint32_t Crc32(std::span<const uint8_t> bytes) {
  return static_cast<uint32_t>(crc32_z(0, bytes.data(), bytes.size()));
}

}  // namespace

Result<ZipArchive> ZipArchive::Parse(const Bytes& file, const std::string& name) {
  const uint8_t* data = file.view.data();
  if (file.size() < kEndSize) {
    return BrokenFile(name, file.size(), "the end of the file",
                      "a ZIP archive of at least 22 bytes", kDamaged);
  }
  // The end record is the last thing, but for a comment: look for it backwards.
  size_t end = file.size() - kEndSize;
  const size_t first = end > kMaxComment ? end - kMaxComment : 0;
  while (Load32(data + end) != kEndMagic ||
         end + kEndSize + Load16(data + end + 20) != file.size()) {
    if (end == first) {
      return BrokenFile(name, file.size(), "the end of the file",
                        "a ZIP end record (PK 05 06) before it",
                        "the file is cut short or no .npz archive: save it again with numpy.savez");
    }
    --end;
  }
  const int count = Load16(data + end + 10);
  const uint32_t size = Load32(data + end + 12);
  const uint32_t offset = Load32(data + end + 16);
  if (Load16(data + end + 4) != 0 || Load16(data + end + 8) != count || count > kMaxEntries) {
    return BrokenFile(name, end + 4, Format("%d entries, or several volumes", count),
                      Format("one volume of at most %d entries", kMaxEntries), kDamaged);
  }
  if (uint64_t{offset} + size != end) {
    const bool zip64 = offset == kZip64 || size == kZip64;
    return BrokenFile(name, end + 12, Format("a directory of %u bytes at %u", size, offset),
                      Format("one that ends at byte %zu", end),
                      zip64 ? "archives above 4 GiB are not read: use .npy files" : kDamaged);
  }
  ZipArchive archive(file, name);
  LONGSTRIDE_RETURN_IF_ERROR(archive.ReadDirectory(offset, end, count));
  return archive;
}

Status ZipArchive::ReadDirectory(uint64_t offset, uint64_t end, int count) {
  for (int i = 0; i < count; ++i) {
    const uint8_t* record = file_.view.data() + offset;
    if (end - offset < kDirectorySize || Load32(record) != kDirectoryMagic) {
      return BrokenFile(name_, offset, "no directory record (PK 01 02)",
                        Format("record %d of %d", i + 1, count), kDamaged);
    }
    const size_t name_size = Load16(record + 28);
    const uint64_t size = kDirectorySize + name_size + Load16(record + 30) + Load16(record + 32);
    if (end - offset < size) {
      return BrokenFile(
          name_, offset + 28, Format("a record of %zu bytes", static_cast<size_t>(size)),
          Format("at most the %zu that are left", static_cast<size_t>(end - offset)), kDamaged);
    }
    if ((Load16(record + 8) & 1) != 0) {
      return BrokenFile(name_, offset + 8, "an encrypted entry", "a plain one",
                        "save it again with numpy.savez");
    }
    Entry entry;
    entry.directory_offset = offset;
    entry.method = Load16(record + 10);
    entry.crc = Load32(record + 16);
    entry.compressed_size = Load32(record + 20);
    entry.size = Load32(record + 24);
    entry.local_offset = Load32(record + 42);
    entries_.emplace(std::string(reinterpret_cast<const char*>(record) + kDirectorySize, name_size),
                     entry);
    offset += size;
  }
  return {};
}

Result<Bytes> ZipArchive::Stored(const Entry& entry) const {
  if (entry.compressed_size == kZip64 || entry.size == kZip64 || entry.local_offset == kZip64) {
    return BrokenFile(name_, entry.directory_offset + 20, "a ZIP64 size", "sizes below 4 GiB",
                      "use .npy files for arrays this large");
  }
  const uint64_t offset = entry.local_offset;
  if (offset > file_.size() || file_.size() - offset < kLocalSize ||
      Load32(file_.view.data() + offset) != kLocalMagic) {
    return BrokenFile(name_, entry.directory_offset + 42,
                      Format("a local header at byte %u", entry.local_offset),
                      "the place of a PK 03 04 record", kDamaged);
  }
  const uint8_t* local = file_.view.data() + offset;
  const uint64_t start = offset + kLocalSize + Load16(local + 26) + Load16(local + 28);
  if (start > file_.size() || file_.size() - start < entry.compressed_size) {
    return BrokenFile(name_, entry.directory_offset + 20,
                      Format("%u compressed bytes", entry.compressed_size),
                      Format("at most what follows byte %zu in a file of %zu bytes",
                             static_cast<size_t>(start), file_.size()),
                      kDamaged);
  }
  return file_.Slice(start, entry.compressed_size);
}

Result<Bytes> ZipArchive::Unpack(const Bytes& stored, const Entry& entry) const {
  if (entry.method == 0) return stored;
  if (entry.method != 8) {
    return BrokenFile(name_, entry.directory_offset + 10,
                      Format("compression method %d", static_cast<int>(entry.method)),
                      "0 (stored) or 8 (deflated)", "save it again with numpy.savez");
  }
  if (entry.size / kMaxDeflateRatio > entry.compressed_size) {
    return BrokenFile(
        name_, entry.directory_offset + 24, Format("a content of %u bytes", entry.size),
        Format("no more than %u compressed bytes can hold", entry.compressed_size), kDamaged);
  }
  // One byte of room more than is right shows a content that is too long.
  LONGSTRIDE_ASSIGN_OR_RETURN(
      Inflated content,
      Inflate(stored.view, DeflateWrapper::kRaw, uint64_t{entry.size} + 1, entry.size, name_));
  return OwnBytes(std::move(content.bytes));
}

Result<Bytes> ZipArchive::Read(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) {
    return DataError(name_ + ": no array " + name + " in the archive; save it under that name");
  }
  const Entry& entry = found->second;
  LONGSTRIDE_ASSIGN_OR_RETURN(const Bytes stored, Stored(entry));
  LONGSTRIDE_ASSIGN_OR_RETURN(Bytes content, Unpack(stored, entry));
  if (content.size() != entry.size) {
    return BrokenFile(
        name_, entry.directory_offset + 24,
        Format("a content of %zu%s bytes for %s", std::min<size_t>(content.size(), entry.size),
               content.size() > entry.size ? " or more" : "", name.c_str()),
        Format("%u", entry.size), kDamaged);
  }
  if (const uint32_t crc = Crc32(content.view); crc != entry.crc) {
    return BrokenFile(name_, entry.directory_offset + 16,
                      Format("CRC-32 %08x for %s", entry.crc, name.c_str()),
                      Format("%08x as computed from its content", crc), kDamaged);
  }
  return content;
}

}  // namespace longstride::data
