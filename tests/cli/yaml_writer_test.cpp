#include "cli/yaml_writer.h"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

namespace longstride {
namespace {

using Json = nlohmann::ordered_json;

TEST(ToYaml, WritesBlockStyle) {
  const Json json = Json::parse(
      R"({"kind":"TrainingJob","spec":{"workers":[{"name":"a","batch":{"min":1}},{"name":"b"}],
    "hidden":[16,32],"empty":{},"none":[],"flag":true,"text":"two words"}})");
  EXPECT_EQ(ToYaml(json),
            "kind: TrainingJob\n"
            "spec:\n"
            "  workers:\n"
            "    - name: a\n"
            "      batch:\n"
            "        min: 1\n"
            "    - name: b\n"
            "  hidden: [16, 32]\n"
            "  empty: {}\n"
            "  none: []\n"
            "  flag: true\n"
            "  text: \"two words\"\n");
}

// What would be read as something else is quoted.
TEST(ToYaml, StringsStayStrings) {
  for (const char* text : {"",    "yes", "No",  "null",  "1e3",        "0x10",          "~", "a: b",
                           "- a", "#x",  "a b", "12:30", "%a",         "line\nbreak",   "é", "{a}",
                           "*a",  "&a",  "!a",  "a,b",   "/usr/share", "plain-text_1.0"}) {
    const YAML::Node node = YAML::Load(ToYaml(Json{{"k", text}}));
    EXPECT_EQ(node["k"].as<std::string>(), text);
    EXPECT_TRUE(node["k"].Tag() == "!" || std::string(text) == "/usr/share" ||
                std::string(text) == "plain-text_1.0")
        << text << " is not quoted";
  }
}

TEST(ToYaml, ListsOfListsAreRead) {
  const YAML::Node node = YAML::Load(ToYaml(Json::parse(R"([[1,2],[3,[4]]])")));
  EXPECT_EQ(node[0][1].as<int>(), 2);
  EXPECT_EQ(node[1][1][0].as<int>(), 4);
}

}  // namespace
}  // namespace longstride
