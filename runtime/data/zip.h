// The part of the ZIP format that NumPy's .npz files use [PKWARE APPNOTE.TXT]: stored or deflated
// entries of one volume, without encryption and without ZIP64 sizes.
#pragma once

#include <map>

#include "runtime/data/bytes.h"

namespace longstride::data {

class ZipArchive {
 public:
  // Reads the central directory of a whole archive. `name` is for messages. At most 1,024 entries.
  [[nodiscard]] static Result<ZipArchive> Parse(const Bytes& file, const std::string& name);

  [[nodiscard]] bool Contains(const std::string& entry) const { return entries_.contains(entry); }

  // The content of an entry, its CRC-32 checked: a view into the file when stored, own memory when
  // deflated. Sizes are bounded by what the compressed bytes can hold.
  [[nodiscard]] Result<Bytes> Read(const std::string& entry) const;

 private:
  struct Entry {
    uint64_t directory_offset = 0;  // of its record, for messages
    uint16_t method = 0;
    uint32_t crc = 0;
    uint32_t compressed_size = 0;
    uint32_t size = 0;
    uint32_t local_offset = 0;
  };

  ZipArchive(Bytes file, std::string name) : file_(std::move(file)), name_(std::move(name)) {}
  [[nodiscard]] Status ReadDirectory(uint64_t offset, uint64_t end, int count);
  [[nodiscard]] Result<Bytes> Stored(const Entry& entry) const;
  [[nodiscard]] Result<Bytes> Unpack(const Bytes& stored, const Entry& entry) const;

  Bytes file_;
  std::string name_;
  std::map<std::string, Entry> entries_;
};

}  // namespace longstride::data
