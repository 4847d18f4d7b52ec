// The CEL rules are well formed, as far as can be told without CEL; tests/cluster has an API server
// judge them.
#include "core/spec/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "core/spec/contradictions.h"
#include "core/spec/fields.h"

namespace longstride {
namespace {

using testing::ElementsAre;
using testing::IsSupersetOf;
using testing::UnorderedElementsAre;

std::vector<Rule> AllRules() {
  std::vector<Rule> rules = RulesAt("");
  for (const Field& field : AllFields()) {
    std::string at = field.path;
    if (field.type == FieldType::kObjectList) at += "[]";
    for (Rule& rule : RulesAt(at)) rules.push_back(std::move(rule));
  }
  return rules;
}

std::string RuleOf(std::string_view at, std::string_view field) {
  for (const Rule& rule : RulesAt(at)) {
    if (rule.field == field) return rule.expression;
  }
  return "none";
}

TEST(Rules, ReadAFieldThatIsAlwaysThereAsItIs) {
  EXPECT_EQ(ExpandFields("spec", "${replicas} > ${training.batch.initial}"),
            "self.replicas > self.training.batch.initial");
}

TEST(Rules, ReadAFieldThatMayBeAbsentOrItsDefault) {
  EXPECT_EQ(ExpandFields("spec.training.localSteps", "${steps} <= ${maxSteps}"),
            "(has(self.steps) ? self.steps : 16) <= (has(self.maxSteps) ? self.maxSteps : 1024)");
  EXPECT_EQ(ExpandFields("spec", "${data.synthetic.task}"),
            "(has(self.data.synthetic) ? self.data.synthetic.task : 'classification')");
}

TEST(Rules, RefuseWhatWouldBeIgnored) {
  EXPECT_EQ(RuleOf("spec.training.optimizer", "beta1"),
            "!(has(self.beta1)) || self.name in ['adam', 'adamw']");
  // Where the condition stands in another object, the rule is one of the object that holds both.
  EXPECT_EQ(RuleOf("spec.data", "context"),
            "!(has(self.context)) || self.format in ['tokens', 'text'] || (has(self.synthetic) ? "
            "self.synthetic.task : 'classification') in ['tokens']");
}

TEST(Rules, KeepTheSpecAsItIsWhileTheJobIsNotSuspended) {
  std::set<std::string> kept;
  for (const Rule& rule : RulesAt("spec")) {
    if (rule.expression.starts_with("oldSelf.runPolicy.suspend || ")) kept.insert(rule.field);
  }
  EXPECT_THAT(kept, IsSupersetOf({"seed", "workers", "model", "data", "training", "evaluation",
                                  "checkpoint", "limits", "cost"}));
  for (const char* free : {"replicas", "runPolicy"}) EXPECT_FALSE(kept.contains(free)) << free;
}

// What no worker looks at, and the operator judges anew at each look.
TEST(Rules, LetTheRunPolicyChangeButForWhoRunsTheJobAndWhatItsCoordinatorHolds) {
  std::vector<std::string> kept;
  for (const Rule& rule : RulesAt("spec")) {
    if (rule.field.starts_with("runPolicy") && rule.expression.find("oldSelf") != std::string::npos)
      kept.push_back(rule.field);
  }
  EXPECT_THAT(kept, UnorderedElementsAre("runPolicy.managedBy", "runPolicy.shedStragglers"));
}

// Workers that were given another number would cut the data otherwise.
TEST(Rules, KeepReplicasWhereTheyAreAlsoTheNumberOfShards) {
  std::vector<std::string> kept;
  for (const Rule& rule : RulesAt("spec")) {
    if (rule.field == "replicas" && rule.expression.find("oldSelf") != std::string::npos) {
      kept.push_back(rule.expression);
    }
  }
  EXPECT_THAT(kept, ElementsAre("self.replicas == oldSelf.replicas || !has(self.data.partition) || "
                                "self.data.partition.shards > 0"));
}

TEST(Rules, SayWhatIsWrongAndWhere) {
  const std::vector<Rule> rules = AllRules();
  EXPECT_GT(rules.size(), 60u);
  for (const Rule& rule : rules) {
    EXPECT_FALSE(rule.message.empty());
    EXPECT_EQ(rule.expression.find("${"), std::string::npos) << rule.expression;
    EXPECT_EQ(std::count(rule.expression.begin(), rule.expression.end(), '('),
              std::count(rule.expression.begin(), rule.expression.end(), ')'))
        << rule.expression;
    if (rule.field.empty()) continue;
    const std::string path = rule.at.empty() ? rule.field : rule.at + "." + rule.field;
    EXPECT_NE(FindField(path), nullptr) << path;
  }
}

// One that stands at no object of the table would never be checked.
TEST(Rules, ContradictionsStandAtObjects) {
  for (const Rule& rule : Contradictions()) {
    std::string at = rule.at;
    if (at.ends_with("[]")) at.resize(at.size() - 2);
    if (at.empty()) continue;
    ASSERT_NE(FindField(at), nullptr) << at;
    EXPECT_FALSE(ChildrenOf(rule.at).empty()) << rule.at;
  }
}

}  // namespace
}  // namespace longstride
