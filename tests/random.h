// What steers tests that draw random numbers: VELAFS_SEED replays a run, VELAFS_STEPS and others
// make it longer.
#pragma once

#include <cstdlib>
#include <random>

namespace velafs::test {

// A number from the environment.
inline unsigned long FromEnvironment(const char* name, unsigned long otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? std::strtoul(value, nullptr, 10) : otherwise;
}

inline unsigned Seed() {
  return static_cast<unsigned>(FromEnvironment("VELAFS_SEED", std::random_device{}()));
}

}  // namespace velafs::test
