#include "pgctl-wrapper/command/arguments.h"

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

TEST_CASE("start alone can stay in the foreground") {
  CHECK_FALSE(Parse({"start", "pr-1"}).foreground);
  CHECK(Parse({"start", "pr-1", "--foreground"}).foreground);
  CHECK(Failure({"restart", "pr-1", "--foreground"}).code() == Code::kUsage);
}

TEST_CASE("logs takes a branch, or all with --rotate") {
  CHECK(Parse({"logs", "pr-1", "--rotate"}).rotate_log);
  CHECK(Parse({"logs", "--rotate", "--all"}).stop_all);
  for (const auto& words : {std::vector<std::string>{"logs"},
                            {"logs", "--all"},
                            {"logs", "--rotate"},
                            {"logs", "pr-1", "--rotate", "--all"},
                            {"logs", "pr-1", "--rotate", "--follow"}}) {
    CHECK(Failure(words).code() == Code::kUsage);
  }
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
  CHECK(Failure({"url", "pr-1", "extra"}).message() == "unexpected argument \"extra\"");
  CHECK(Failure({"url"}).message() == "BRANCH is required");
  CHECK(Failure({"stop"}).message() == "stop needs a branch");
}

TEST_CASE("wrong usage names the help of the command") {
  CHECK(Failure({}).hint() == "see velapg --help");
  CHECK(Failure({"start"}).hint() == "see velapg start --help");
  CHECK(Failure({"restart", "pr-1", "extra"}).hint() == "see velapg restart --help");
  CHECK(Failure({"pool", "stop"}).hint() == "see velapg pool stop --help");
  CHECK(Failure({"run", "main", "--extra"}).hint() == "see velapg run --help");
  CHECK(Failure({"run", "main", "echo", "hi"}).hint() == "write velapg run SOURCE -- CMD...");
}

TEST_CASE("help of every command has an example") {
  for (const char* command : {"start", "stop", "restart", "status", "psql", "url", "env", "logs",
                              "run", "pool", "take", "renew", "release", "reset"}) {
    const std::string help = Parse({command, "--help"}).help;
    const size_t example = help.find("Example:\n");
    REQUIRE_MESSAGE(example != std::string::npos, help);
    CHECK_MESSAGE(help.find(":INT in [") == std::string::npos, help);
    CHECK_MESSAGE(help.find("velapg " + std::string(command), example) != std::string::npos, help);
  }
}

TEST_CASE("workers have an option each for how many and for their output, and no port in common") {
  const Arguments arguments =
      Parse({"run", "--parallel", "4", "--no-prefix", "main", "--", "true"});
  CHECK(arguments.workers == 4);
  CHECK(arguments.no_prefix);
  CHECK(Parse({"run", "main", "--", "true"}).workers == 1);
  CHECK(Parse({"run", "--parallel", "1", "--port", "5499", "main", "--", "true"}).workers == 1);
  const auto both = {"--parallel", "2", "--port", "5499"};
  std::vector<std::string> words = {"run", "main", "--", "true"};
  words.insert(words.begin() + 1, both.begin(), both.end());
  CHECK(Failure(words).code() == Code::kUsage);
  CHECK(Failure({"run", "--parallel", "0", "main", "--", "true"}).code() == Code::kUsage);
}

TEST_CASE("a pool is made of a source, and its other commands come after the word") {
  const Arguments made = Parse({"pool", "main", "--size", "4", "--name", "ci", "--dbname", "app"});
  CHECK(made.command == "pool");
  CHECK(made.branch == "main");
  CHECK(made.pool_size == 4);
  CHECK(made.pool_name == "ci");
  CHECK(made.dbname == "app");
  CHECK(Parse({"pool", "list", "--json"}).command == "pool list");
  const Arguments stopped = Parse({"pool", "stop", "ci", "--all"});
  CHECK(stopped.command == "pool stop");
  CHECK(stopped.branch == "ci");
  CHECK(stopped.stop_all);
  CHECK(Failure({"pool", "main"}).code() == Code::kUsage);
  CHECK(Failure({"pool", "--size", "4"}).code() == Code::kUsage);
  CHECK(Failure({"pool", "stop"}).code() == Code::kUsage);
  CHECK(Failure({"pool", "list", "ci"}).code() == Code::kUsage);
}

TEST_CASE("a taker waits a minute, as long as he says, or not at all") {
  CHECK(Parse({"take", "main"}).take_wait == std::chrono::minutes(1));
  CHECK(Parse({"take", "main", "--wait", "90s"}).take_wait == std::chrono::seconds(90));
  CHECK(Parse({"take", "main", "--wait", "0"}).take_wait == std::chrono::seconds(0));
  CHECK(Failure({"take", "main", "--wait", "soon"}).code() == Code::kUsage);
  CHECK(Failure({"take", "main", "--url", "--env"}).code() == Code::kUsage);
}

TEST_CASE("TCP is asked for, refused, or left to policy, and to a URL of its own") {
  CHECK(Parse({"start", "a"}).start.tcp == std::nullopt);
  CHECK(Parse({"start", "a", "--tcp"}).start.tcp == true);
  CHECK(Parse({"start", "a", "--tcp", "--user", "app"}).start.tcp_role == "app");
  CHECK(Parse({"run", "a", "--tcp", "--", "true"}).start.overrides.tcp);
  CHECK(Parse({"restart", "a", "--no-tcp"}).start.tcp == false);
  CHECK(Failure({"restart", "a", "--no-tcp", "--tcp"}).code() == Code::kUsage);
  CHECK_FALSE(Parse({"url", "a"}).over_tcp);
  CHECK(Parse({"env", "a", "--tcp"}).over_tcp);
  CHECK(Parse({"url", "a", "--format", "jdbc"}).over_tcp);
}

TEST_CASE("a server is stopped when idle only if that is asked for") {
  CHECK(Parse({"start", "a"}).start.idle_stop == std::nullopt);
  CHECK(Parse({"start", "a", "--idle-stop", "15m"}).start.idle_stop == std::chrono::minutes(15));
  CHECK(Parse({"restart", "a", "--idle-stop", "1h"}).start.idle_stop == std::chrono::hours(1));
  CHECK(Parse({"start", "a", "--idle-stop", "never"}).start.idle_stop == std::chrono::seconds(0));
  CHECK(Failure({"run", "--idle-stop", "1h", "main", "--", "true"}).code() == Code::kUsage);
}

TEST_CASE("the network of a server is chosen wherever one is started") {
  CHECK(Parse({"start", "a"}).start.network == std::nullopt);
  CHECK(Parse({"start", "a", "--network", "isolated"}).start.network == Network::kIsolated);
  CHECK(Parse({"restart", "a", "--network", "loopback"}).start.network == Network::kLoopback);
  CHECK(Parse({"run", "--network", "host", "a", "--", "true"}).start.network == Network::kHost);
  CHECK(Parse({"pool", "a", "--size", "1", "--network", "host"}).start.network == Network::kHost);
  CHECK(Failure({"start", "a", "--network", "none"}).code() == Code::kUsage);
}

TEST_CASE("status needs no branch, what acts on a server does") {
  CHECK(Parse({"status"}).branches.empty());
  CHECK(Parse({"status", "a"}).branches == std::vector<std::string>{"a"});
  CHECK(Failure({"stop"}).code() == Code::kUsage);
}

TEST_CASE("stop and status take several branches, patterns and labels") {
  using Names = std::vector<std::string>;
  CHECK(Parse({"stop", "a", "pr-*"}).branches == Names{"a", "pr-*"});
  const Arguments by_label = Parse({"status", "--label", "team=web", "--label", "ci="});
  CHECK(by_label.labels == std::map<std::string, std::string>{{"team", "web"}, {"ci", ""}});
  CHECK(Parse({"stop", "--label", "team=web"}).labels.size() == 1);
  CHECK(Parse({"stop", "--all"}).stop_all);
  CHECK(Failure({"stop", "--all", "a"}).code() == Code::kUsage);
  CHECK(Failure({"stop", "--all", "--label", "a=b"}).code() == Code::kUsage);
  CHECK(Failure({"stop", "--label", "team"}).message() == "\"team\" is not a label");
  CHECK(Failure({"stop", "--label", "=web"}).code() == Code::kUsage);
}

TEST_CASE("a stop waits for a minute, or for as long as it is told") {
  using std::chrono::seconds;
  CHECK(Parse({"stop", "a"}).stop_timeout == seconds(60));
  CHECK(Parse({"stop", "a", "--timeout", "5s"}).stop_timeout == seconds(5));
  CHECK(Parse({"restart", "a", "--timeout", "5m"}).stop_timeout == seconds(300));
  CHECK(Parse({"stop", "a", "--force"}).force);
}

TEST_CASE("a lease is a duration, and none unless it is given") {
  CHECK(Parse({"take", "ci", "--lease", "30m"}).lease == std::chrono::minutes(30));
  CHECK(Parse({"renew", "b", "--lease", "2h"}).lease == std::chrono::hours(2));
  CHECK_FALSE(Parse({"take", "ci"}).lease);
  CHECK(Failure({"take", "ci", "--lease", "soon"}).code() == Code::kUsage);
}

TEST_CASE("reset goes to the branch's source, or to what it is told") {
  CHECK(Parse({"reset", "a"}).reset_to.empty());
  CHECK(Parse({"reset", "a", "--to", "main@monday"}).reset_to == "main@monday");
  CHECK(Failure({"reset"}).code() == Code::kUsage);
}

TEST_CASE("recovery from the archive is asked for by itself") {
  const auto parsed = ParseArguments({"start", "pr-1", "--recover"});
  REQUIRE(parsed.ok());
  CHECK(parsed->start.recover);
  CHECK(ParseArguments({"start", "pr-1", "--recover", "--as-is"}).status().code() == Code::kUsage);
  CHECK(ParseArguments({"start", "pr-1", "--recover", "--standby"}).status().code() ==
        Code::kUsage);
}

TEST_CASE("help of every command on pools has an example") {
  for (const char* command : {"list", "refresh", "fill", "stop"}) {
    const std::string help = Parse({"pool", command, "--help"}).help;
    CHECK_MESSAGE(help.find("Example:\n  velapg pool " + std::string(command)) != std::string::npos,
                  help);
  }
}

TEST_CASE("what follows the branch's name goes to psql") {
  using Words = std::vector<std::string>;
  struct Case {
    Words words;
    Words psqls;
  };
  const Case cases[] = {
      {{"psql", "main", "-c", "select 1"}, {"-c", "select 1"}},
      {{"psql", "main", "--", "-c", "select 1"}, {"-c", "select 1"}},
      {{"psql", "main", "-h"}, {"-h"}},
      {{"psql", "main", "-qXAt", "--user", "x", "--", "y"}, {"-qXAt", "--user", "x", "--", "y"}},
      {{"--store", "/s", "--json", "psql", "main", "app"}, {"app"}},
      {{"psql", "main"}, {}},
      {{"psql", "--pgbin=/pg", "main", "--store", "/s", "-l"}, {"-l"}},
  };
  for (const Case& it : cases) {
    const Arguments arguments = Parse(it.words);
    CAPTURE(it.words[1]);
    CHECK(arguments.command == "psql");
    CHECK(arguments.branch == "main");
    CHECK(arguments.after_dashes == it.psqls);
    CHECK(arguments.user.empty());
  }
}

TEST_CASE("velapg's own options stand before and right after the name of psql's branch") {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"psql", "--user", "u", "--dbname=d", "main", "-l"},
        {"psql", "main", "--user=u", "--dbname", "d", "-l"},
        {"psql", "main", "--user", "u", "--dbname", "d", "--", "-l"}}) {
    const Arguments arguments = Parse(words);
    CHECK(arguments.user == "u");
    CHECK(arguments.dbname == "d");
    CHECK(arguments.after_dashes == std::vector<std::string>{"-l"});
  }
  CHECK(Parse({"psql", "main", "--superuser"}).superuser);
  CHECK(ParseArguments({"psql", "--user", "u", "main", "--superuser"}).status().code() ==
        Code::kUsage);
}

TEST_CASE("help of velapg psql is velapg's") {
  for (const char* word : {"-h", "--help"}) CHECK(!Parse({"psql", word}).help.empty());
  CHECK(!Parse({"psql", "main", "--help"}).help.empty());
}
