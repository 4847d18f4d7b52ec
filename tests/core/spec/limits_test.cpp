// Hostile and odd texts end in one clear fault, soon.
#include <gmock/gmock.h>

#include "core/spec/node.h"
#include "tests/core/spec/spec_testing.h"

namespace longstride {
namespace {

using testing::HasSubstr;

std::string Repeat(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

std::string WithTemplate(const std::string& value) {
  return Minimal("", "  workers:\n  - template:\n      a: " + value + "\n");
}

TEST(Limits, Bytes) {
  EXPECT_EQ(FaultsOf(std::string(kMaxManifestBytes + 1, '#')), "t: the manifest is larger than 1 MiB");
}

TEST(Limits, Depth) {
  EXPECT_EQ(FaultsOf(WithTemplate(Repeat("[", 50) + Repeat("]", 50))), "");
  EXPECT_THAT(FaultsOf(WithTemplate(Repeat("[", 80) + Repeat("]", 80))), HasSubstr("64 levels"));
  for (const char* opener : {"[", "{a: ", "- ", "? ", "[[[[{"}) {
    EXPECT_FALSE(ParseTrainingJob(Repeat(opener, 100000), "t").ok()) << opener;
  }
}

TEST(Limits, Nodes) {
  EXPECT_THAT(FaultsOf(WithTemplate("[" + Repeat("1,", 30000) + "1]")), HasSubstr("20,000 values"));
  nlohmann::json json = {{"spec", nlohmann::json::array()}};
  for (int i = 0; i < 30000; ++i) json["spec"].push_back(i);
  EXPECT_THAT(FaultsOf(ParseTrainingJobJson(json)), HasSubstr("too large"));
  nlohmann::json deep = 1;
  for (int i = 0; i < 100; ++i) deep = nlohmann::json::array({deep});
  EXPECT_THAT(FaultsOf(ParseTrainingJobJson(deep)), HasSubstr("deeply nested"));
}

TEST(Limits, AliasesAnchorsMergeKeysAndTagsAreRefused) {
  EXPECT_THAT(FaultsOf(Minimal("", "  seed: &a 1\n")), HasSubstr("t:8:9: anchors and aliases"));
  EXPECT_THAT(FaultsOf("a: *b\n"), HasSubstr("t:1"));
  EXPECT_THAT(FaultsOf(Minimal("", "  <<: {seed: 1}\n")), HasSubstr("t:8:3: merge keys"));
  EXPECT_THAT(FaultsOf(Minimal("", "  seed: !!int 1\n")), HasSubstr("the tag tag:yaml.org,2002:int"));
}

TEST(Limits, OneDocument) {
  EXPECT_EQ(FaultsOf("---\n" + Minimal() + "---\n"), "");
  EXPECT_THAT(FaultsOf(Minimal() + "---\n" + Minimal()), HasSubstr("t:9:1: a second document"));
  EXPECT_EQ(FaultsOf(""), "t:1:1: the manifest is empty");
  EXPECT_EQ(FaultsOf("# nothing\n"), "t:1:1: the manifest is empty");
}

TEST(Limits, TokensAfterTheDocumentEnd) {
  EXPECT_THAT(FaultsOf("{a: 1},\n b: 2\n"), HasSubstr("t:1:7: "));
  EXPECT_THAT(FaultsOf("}"), HasSubstr("t:1:1: "));
  EXPECT_THAT(FaultsOf("]\n"), HasSubstr("t:1:1: "));
}

TEST(Limits, OnlyUtf8Text) {
  for (const std::string& bad : {std::string("a\x04"), std::string("a\0", 2), std::string("a\xff"),
                                 std::string("a\xc0\x80"), std::string("a\xed\xa0\x80"), std::string("a\xe2\x82")}) {
    EXPECT_EQ(FaultsOf(bad), "t:1:2: not UTF-8 text (a stray byte or control character); "
                             "save the file as UTF-8");
  }
  EXPECT_EQ(FaultsOf("\xef\xbb\xbf" + Minimal()), "") << "a byte order mark";
  EXPECT_EQ(FaultsOf(Minimal("", "  data: {}\n")).find("twice") != std::string::npos, true);
}

TEST(Limits, MessagesStayShortAndPrintable) {
  const std::string faults = FaultsOf(Minimal("", "  \"a\\e" + std::string(900, 'x') + "\": 1\n"));
  EXPECT_EQ(faults.find('\033'), std::string::npos);
  EXPECT_LT(faults.size(), 400u) << faults;
}

TEST(Limits, ManyFaultsAreCounted) {
  std::string text = Minimal();
  for (int i = 0; i < 80; ++i) text += "  zzz" + std::to_string(i) + ": 1\n";
  EXPECT_THAT(FaultsOf(text), HasSubstr("... and 30 more"));
}

}  // namespace
}  // namespace longstride
