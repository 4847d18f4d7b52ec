#include "core/protocol/base64.h"

#include <gtest/gtest.h>

#include "core/base/random.h"

namespace longstride {
namespace {

std::vector<uint8_t> Bytes(const std::string& text) {
  return {text.begin(), text.end()};
}

TEST(Base64, AgreesWithTheVectorsOfRfc4648) {
  for (const auto& [plain, coded] :
       std::vector<std::pair<std::string, std::string>>{{"", ""},
                                                        {"f", "Zg=="},
                                                        {"fo", "Zm8="},
                                                        {"foo", "Zm9v"},
                                                        {"foob", "Zm9vYg=="},
                                                        {"fooba", "Zm9vYmE="},
                                                        {"foobar", "Zm9vYmFy"}}) {
    EXPECT_EQ(EncodeBase64(Bytes(plain)), coded);
    EXPECT_EQ(DecodeBase64(coded), Bytes(plain));
  }
}

TEST(Base64, GivesBackAnyBytes) {
  SeededRandom random(1);
  for (size_t size = 0; size < 100; ++size) {
    std::vector<uint8_t> bytes(size);
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(random.NextWord());
    EXPECT_EQ(DecodeBase64(EncodeBase64(bytes)), bytes) << size;
  }
}

TEST(Base64, RefusesWhatEncodeWouldNotWrite) {
  for (const char* text :
       {"A", "Zg=", "Zg", "Z===", "====", "Zg==Zg==", "Zh==", "Zm9=", "Zm 9", "Zm9\n", "Zm9-"}) {
    EXPECT_FALSE(DecodeBase64(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace longstride
