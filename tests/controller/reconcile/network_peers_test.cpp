#include "controller/reconcile/network_peers.h"

#include <gmock/gmock.h>

namespace longstride {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

TEST(NetworkPeers, AreKeptAsTheyWereGiven) {
  for (const char* text :
       {R"([])", R"([{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "a"}}}])",
        R"([{"ipBlock": {"cidr": "192.0.2.0/24"}}, {"podSelector": {}}])"}) {
    const auto peers = ParseNetworkPeers(text);
    ASSERT_TRUE(peers.ok()) << text << ": " << peers.error().message;
    EXPECT_EQ(*peers, json::parse(text));
  }
}

TEST(NetworkPeers, AFaultNamesThePeer) {
  const std::pair<const char*, const char*> faults[] = {
      {"", "must be a JSON list"},
      {R"({"podSelector": {}})", "must be a JSON list"},
      {"[{}]", "peer 1: must be an object with"},
      {R"([{"podSelector": {}}, "monitoring"])", "peer 2: must be an object with"},
      {R"([{"podSelectors": {}}])", "peer 1: has an unknown field podSelectors"},
      {R"([{"podSelector": "app=a"}])", "peer 1: podSelector must be an object"},
      {R"([{"podSelector": {}, "ipBlock": {"cidr": "192.0.2.0/24"}}])",
       "peer 1: has an ipBlock beside a selector"},
  };
  for (const auto& [text, message] : faults) {
    const auto peers = ParseNetworkPeers(text);
    ASSERT_FALSE(peers.ok()) << text;
    EXPECT_EQ(peers.error().code, ErrorCode::kUser);
    EXPECT_THAT(peers.error().message, HasSubstr(message));
  }
}

}  // namespace
}  // namespace longstride
