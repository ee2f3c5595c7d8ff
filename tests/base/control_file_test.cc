#include "velafs/base/control_file.h"

#include <doctest/doctest.h>

#include <string>

using namespace velafs;

TEST_CASE("pg_control tells a cluster's state, and nothing when it is damaged") {
  const auto with_state = [](char state) {
    std::string file(8192, '\0');
    file[16] = state;
    return file;
  };
  CHECK(ParseClusterState(with_state(1)) == ClusterState::kShutDown);
  CHECK(ParseClusterState(with_state(6)) == ClusterState::kInProduction);
  CHECK(ParseClusterState(with_state(1).substr(0, 20)) == ClusterState::kShutDown);
  CHECK_FALSE(ParseClusterState(with_state(1).substr(0, 19)));
  CHECK_FALSE(ParseClusterState(with_state(7)));
  CHECK_FALSE(ParseClusterState(std::string(8192, 'c')));
}
