#include "pgctl-wrapper/connect/network.h"

#include <doctest/doctest.h>

using namespace velafs;
using namespace velafs::pgctl;

TEST_CASE("a network's name is read back as it, and nothing else is") {
  for (const Network network : {Network::kIsolated, Network::kLoopback, Network::kHost}) {
    const Result<Network> read = ParseNetwork(NetworkName(network));
    REQUIRE(read.ok());
    CHECK(*read == network);
  }
  for (const char* word : {"", "Host", "isolated ", "none"}) {
    CHECK(ParseNetwork(word).status().code() == Code::kUsage);
  }
}

TEST_CASE("what nobody has told to reach the host's network is isolated") {
  CHECK(IsIsolated(std::nullopt));
  CHECK(IsIsolated(Network::kLoopback));
  CHECK_FALSE(IsIsolated(Network::kHost));
}
