#include "controller/kube/cache.h"

#include <gmock/gmock.h>

#include <thread>

namespace longstride::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Json Object(const std::string& name, int version, const std::string& uid = "",
            const std::string& owner = "", const std::string& job = "") {
  Json object = {{"metadata",
                  {{"namespace", "ns"},
                   {"name", name},
                   {"uid", uid.empty() ? "uid-" + name : uid},
                   {"resourceVersion", std::to_string(version)}}},
                 {"spec", {{"kept", version}, {"large", std::string(1000, 'x')}}}};
  if (!owner.empty()) {
    object["metadata"]["ownerReferences"] = {{{"uid", owner}, {"controller", true}}};
  }
  if (!job.empty()) object["metadata"]["labels"]["example.com/job"] = job;
  return object;
}

class CacheTest : public ::testing::Test {
 protected:
  CacheTest() {
    cache_.AddHandlers({[this](const ObjectPtr& o) { log_.push_back("+" + o->key.name); },
                        [this](const ObjectPtr& before, const ObjectPtr& after) {
                          log_.push_back(before->resource_version + ">" + after->resource_version);
                        },
                        [this](const ObjectPtr& o) { log_.push_back("-" + o->key.name); }});
  }
  void Replace(const std::vector<Json>& objects) {
    std::vector<Cache::Entry> entries;
    for (const Json& object : objects) entries.push_back(cache_.Project(object));
    cache_.Replace(std::move(entries));
  }
  static std::vector<std::string> Names(const std::vector<ObjectPtr>& objects) {
    std::vector<std::string> names;
    for (const ObjectPtr& object : objects) names.push_back(object->key.name);
    return names;
  }

  Cache cache_{KeepOnly({"/spec/kept", "/status"}), {"example.com/job"}};
  std::vector<std::string> log_;
};

TEST_F(CacheTest, KeepsIdentityAndTheProjectionOnly) {
  cache_.Upsert(Object("a", 7, "u"));
  const ObjectPtr a = cache_.Find({"ns", "a"});
  ASSERT_TRUE(a);
  EXPECT_EQ(a->uid, "u");
  EXPECT_EQ(a->resource_version, "7");
  EXPECT_EQ(a->value, (Json{{"spec", {{"kept", 7}}}}));
  EXPECT_EQ(cache_.Find({"other", "a"}), nullptr);
}

TEST_F(CacheTest, FindsByOwnerLabelAndNamespace) {
  cache_.Upsert(Object("b", 1, "", "job-1", "x"));
  cache_.Upsert(Object("a", 2, "", "job-1", "y"));
  cache_.Upsert(Object("c", 3, "", "job-2", "x"));
  EXPECT_THAT(Names(cache_.ByOwner("job-1")), ElementsAre("a", "b"));
  EXPECT_THAT(Names(cache_.ByLabel("example.com/job", "x")), ElementsAre("b", "c"));
  EXPECT_THAT(Names(cache_.InNamespace("ns")), ElementsAre("a", "b", "c"));
  EXPECT_THAT(cache_.InNamespace("n"), IsEmpty());
  EXPECT_THAT(cache_.ByOwner("none"), IsEmpty());
}

TEST_F(CacheTest, IndexesFollowChangesAndDeletions) {
  cache_.Upsert(Object("a", 1, "", "job-1", "x"));
  cache_.Upsert(Object("a", 2, "", "job-2", "y"));
  EXPECT_THAT(cache_.ByOwner("job-1"), IsEmpty());
  EXPECT_THAT(cache_.ByLabel("example.com/job", "x"), IsEmpty());
  EXPECT_THAT(Names(cache_.ByOwner("job-2")), ElementsAre("a"));
  cache_.Remove(Object("a", 3));
  EXPECT_THAT(cache_.ByOwner("job-2"), IsEmpty());
  EXPECT_EQ(cache_.size(), 0U);
}

TEST_F(CacheTest, HandlersSeeEachChangeOnceAndNoRepetition) {
  cache_.Upsert(Object("a", 1));
  cache_.Upsert(Object("a", 1));
  cache_.Upsert(Object("a", 2));
  cache_.Remove(Object("a", 3));
  cache_.Remove(Object("a", 3));
  EXPECT_THAT(log_, ElementsAre("+a", "1>2", "-a"));
}

TEST_F(CacheTest, AListTellsWhatChangedMeanwhile) {
  Replace({Object("same", 1), Object("changed", 2), Object("gone", 3)});
  log_.clear();
  Replace({Object("same", 1), Object("changed", 5), Object("new", 6)});
  EXPECT_THAT(log_, ElementsAre("-gone", "2>5", "+new"));
}

TEST_F(CacheTest, AnotherObjectOfTheSameNameIsADeletionAndAnAddition) {
  cache_.Upsert(Object("a", 1, "first"));
  Replace({Object("a", 2, "second")});
  EXPECT_THAT(log_, ElementsAre("+a", "-a", "+a"));
  EXPECT_EQ(cache_.Find({"ns", "a"})->uid, "second");
}

TEST_F(CacheTest, IsSyncedAfterTheFirstListEvenAnEmptyOne) {
  EXPECT_FALSE(cache_.synced());
  EXPECT_FALSE(cache_.WaitSynced(Duration::zero(), {}));
  std::thread reflector([&] { cache_.Replace({}); });
  EXPECT_TRUE(cache_.WaitSynced(std::chrono::seconds(60), {}));
  reflector.join();
}

}  // namespace
}  // namespace longstride::kube
