#include "velafs/base/control_file.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
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

TEST_CASE("of each version of pg_control it is known where recovery must come to") {
  const auto end_of = [](uint32_t version) {
    std::string file(8192, '\0');
    std::memcpy(file.data() + 8, &version, sizeof version);
    const uint64_t end = 0x2ab5338;
    std::memcpy(file.data() + 136, &end, sizeof end);
    return ParseMinRecoveryEnd(file);
  };
  for (const uint32_t version : {1201U, 1300U, 1700U, 1800U}) CHECK(end_of(version) == 0x2ab5338);
  CHECK(end_of(9999) == 0);
}
