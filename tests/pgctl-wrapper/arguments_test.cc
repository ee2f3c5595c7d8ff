#include "pgctl-wrapper/arguments.h"

#include <doctest/doctest.h>

using namespace velafs;
using namespace velafs::pgctl;

namespace {

Arguments Parse(const std::vector<std::string>& words) {
  Result<Arguments> arguments = ParseArguments(words);
  REQUIRE_MESSAGE(arguments.ok(), arguments.status().message());
  return *std::move(arguments);
}

Status Failure(const std::vector<std::string>& words) { return ParseArguments(words).status(); }

}  // namespace

TEST_CASE("a start with nothing said is safe, small and waits ten minutes") {
  const Arguments arguments = Parse({"start", "pr-1"});
  CHECK(arguments.command == "start");
  CHECK(arguments.branch == "pr-1");
  CHECK(arguments.start.port == std::nullopt);
  CHECK(arguments.start.timeout == std::chrono::minutes(10));
  CHECK_FALSE(arguments.start.overrides.as_is);
  CHECK(arguments.start.overrides.memory == MemoryProfile::kSmall);
}

TEST_CASE("common options may stand before and after the command") {
  for (const auto& words : {std::vector<std::string>{"--store", "/s", "--json", "stop", "b"},
                            std::vector<std::string>{"stop", "b", "--json", "--store", "/s"}}) {
    const Arguments arguments = Parse(words);
    CHECK(arguments.store == "/s");
    CHECK(arguments.json);
  }
}

TEST_CASE("what follows the dashes belongs to the command that is run") {
  const Arguments arguments =
      Parse({"run", "main", "--keep", "--name", "x", "--", "pytest", "--json", "--", "-k"});
  CHECK(arguments.after_dashes == std::vector<std::string>{"pytest", "--json", "--", "-k"});
  CHECK_FALSE(arguments.json);
  CHECK(arguments.keep);
  CHECK(arguments.run_name == "x");
}

TEST_CASE("options of start reach run") {
  const Arguments arguments =
      Parse({"run", "main", "--port", "5499", "--timeout", "90s", "--profile", "inherit", "--as-is",
             "--strict", "--standby", "--pgbin", "/pg/bin", "--", "true"});
  CHECK(arguments.start.port == 5499);
  CHECK(arguments.start.timeout == std::chrono::seconds(90));
  CHECK(arguments.start.overrides.memory == MemoryProfile::kInherit);
  CHECK(arguments.start.overrides.as_is);
  CHECK(arguments.start.overrides.strict);
  CHECK(arguments.start.standby);
  CHECK(arguments.start.pgbin == "/pg/bin");
}

TEST_CASE("wrong words are wrong usage, said in one line") {
  const std::vector<std::vector<std::string>> kWrong = {
      {},
      {"start"},
      {"fly", "pr-1"},
      {"start", "pr-1", "extra"},
      {"start", "pr-1", "--port", "0"},
      {"start", "pr-1", "--port", "65536"},
      {"start", "pr-1", "--timeout", "soon"},
      {"start", "pr-1", "--profile", "huge"},
      {"stop", "pr-1", "--mode", "gently"},
      {"start", "pr-1", "--", "x"},
      {"run", "main"},
      {"run", "main", "--"},
      {"run", "main", "true"},
  };
  for (const auto& words : kWrong) {
    const Status status = Failure(words);
    CAPTURE(status.message());
    CHECK(status.code() == Code::kUsage);
    CHECK_FALSE(status.message().empty());
    CHECK(status.message().find('\n') == std::string::npos);
    CHECK(status.message().back() != '.');
  }
}

TEST_CASE("wrong usage names what is wrong") {
  CHECK(Failure({}).message() == "no command given");
  CHECK(Failure({"fly", "pr-1"}).message() == "unknown command \"fly\"");
  CHECK(Failure({"stop", "pr-1", "extra"}).message() == "unexpected argument \"extra\"");
  CHECK(Failure({"stop"}).message() == "BRANCH is required");
}

TEST_CASE("help of every command has an example") {
  for (const char* command :
       {"start", "stop", "restart", "status", "psql", "url", "env", "logs", "run"}) {
    const std::string help = Parse({command, "--help"}).help;
    const size_t example = help.find("Example:\n");
    REQUIRE_MESSAGE(example != std::string::npos, help);
    CHECK_MESSAGE(help.find("velapg " + std::string(command), example) != std::string::npos, help);
  }
}
