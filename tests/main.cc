// Entry of all unit tests. Beyond doctest's own options:
//   --seed=N    the seed of the model tests, as one printed by a failed run
//   --steps=N   how many steps each model test takes
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <string>
#include <string_view>

namespace {

// Model tests read their parameters from the environment, so that a debugger or CI can set them
// too.
void PassOn(std::string_view argument, std::string_view option, const char* variable) {
  if (argument.substr(0, option.size()) != option) return;
  setenv(variable, std::string(argument.substr(option.size())).c_str(), 1);
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    PassOn(argv[i], "--seed=", "VELAFS_SEED");
    PassOn(argv[i], "--steps=", "VELAFS_STEPS");
  }
  // Tests look at what is returned; disks that fail on purpose would fill pages with what is
  // logged.
  spdlog::set_level(spdlog::level::off);
  doctest::Context context(argc, argv);
  return context.run();
}
