#include "controller/kube/resource.h"

#include <gtest/gtest.h>

namespace longstride::kube {
namespace {

TEST(ResourceTest, PathsFollowGroupScopeAndSubresource) {
  EXPECT_EQ(Pods().CollectionPath("ns"), "/api/v1/namespaces/ns/pods");
  EXPECT_EQ(Pods().CollectionPath(""), "/api/v1/pods");
  EXPECT_EQ(TrainingJobs().ObjectPath({"ns", "a"}, "status"),
            "/apis/longstride.dev/v1alpha1/namespaces/ns/trainingjobs/a/status");
  EXPECT_EQ(TokenReviews().CollectionPath("ignored"),
            "/apis/authentication.k8s.io/v1/tokenreviews");
  EXPECT_EQ(Namespaces().ObjectPath({"", "ns"}, ""), "/api/v1/namespaces/ns");
}

TEST(ResourceTest, NamesCannotLeaveTheirSegment) {
  EXPECT_EQ(Pods().ObjectPath({"ns", "../a?b#c"}, ""), "/api/v1/namespaces/ns/pods/..%2Fa%3Fb%23c");
}

TEST(ResourceTest, ReadsOfAbsentOrStrangeMembersAreEmpty) {
  const Json object = {{"metadata", {{"name", 7}, {"labels", "none"}}}};
  EXPECT_EQ(StringAt(object, "/metadata/name"), "");
  EXPECT_TRUE(ValueAt(object, "/metadata/labels/a").is_null());
  EXPECT_TRUE(ValueAt(Json(3), "/a").is_null());
  EXPECT_EQ(KeyOf(object), (ObjectKey{"", ""}));
}

TEST(ResourceTest, TheControllerIsTheOwnerThatSaysSo) {
  const Json object = {
      {"metadata", {{"ownerReferences", {{{"uid", "1"}}, {{"uid", "2"}, {"controller", true}}}}}}};
  EXPECT_EQ(ControllerUidOf(object), "2");
  EXPECT_EQ(ControllerUidOf(Json::object()), "");
}

}  // namespace
}  // namespace longstride::kube
