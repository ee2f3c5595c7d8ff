#include "pgctl-wrapper/config/library_rules.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "pgctl-wrapper/process/text_file.h"

using namespace velafs;
using namespace velafs::pgctl;

namespace {

struct RulesFixture {
  RulesFixture()
      : dir(std::filesystem::temp_directory_path() / ("rules-" + std::to_string(getpid()))) {
    std::filesystem::create_directory(dir);
  }
  ~RulesFixture() { std::filesystem::remove_all(dir); }
  std::string Path() const { return dir / "extensions.toml"; }
  Result<std::optional<std::string>> Read() const { return ReadStoreLibraryRules(dir); }

  std::filesystem::path dir;
};

std::string FailureOf(const std::string& text) {
  return ParseLibraryRules(text, "x.toml").status().message();
}

}  // namespace

TEST_CASE("the rules that come with the program are whole") {
  const Result<LibraryRules> rules = BuiltInLibraryRules();
  REQUIRE(rules.ok());
  for (const char* library :
       {"pg_cron", "pglogical", "spock", "citus", "pg_net", "pg_partman_bgw"}) {
    REQUIRE_MESSAGE(rules->contains(library), library);
    CHECK_MESSAGE(rules->at(library).action == LibraryAction::kLeaveOut, library);
  }
  CHECK(rules->at("timescaledb").setting == "timescaledb.max_background_workers");
  CHECK(rules->at("pg_stat_statements").action == LibraryAction::kAllow);
  for (const auto& entry : *rules) CHECK_MESSAGE(!entry.second.why.empty(), entry.first);
}

TEST_CASE("the store's rules replace ours by name, and the policy allows libraries") {
  const auto rules = CombineLibraryRules(
      "[pg_cron]\naction = \"setting\"\nsetting = \"cron.launch_active_jobs\"\nvalue = \"off\"\n"
      "[own]\naction = \"leave_out\"\n[other]\naction = \"leave_out\"\n",
      "$libdir/other, citus");
  REQUIRE(rules.ok());
  CHECK(rules->at("pg_cron").setting == "cron.launch_active_jobs");
  CHECK(rules->at("own").action == LibraryAction::kLeaveOut);
  CHECK(rules->at("other").action == LibraryAction::kAllow);
  CHECK(rules->at("citus").action == LibraryAction::kAllow);
  CHECK(rules->at("pg_net").action == LibraryAction::kLeaveOut);
}

TEST_CASE("a fault in the rules is told with its line") {
  CHECK(FailureOf("[a]\n\naction = \"alow\"\n").find("x.toml: line 3: action is \"alow\"") !=
        std::string::npos);
  CHECK(FailureOf("[a]\naction = \"allow\"\nwhat = \"x\"").find("line 3") != std::string::npos);
  CHECK(FailureOf("[a]\naction = 1\n").find("line 2") != std::string::npos);
  CHECK(FailureOf("a = \"allow\"\n").find("line 1") != std::string::npos);
  CHECK(FailureOf("[a]\nwhy = \"x\"\n").find("no action") != std::string::npos);
  CHECK(FailureOf("[a]\naction = \"setting\"\n").find("needs a setting") != std::string::npos);
  CHECK(FailureOf("[a\n").find("line 1") != std::string::npos);
  const std::string injected = "[a]\naction = \"setting\"\nsetting = \"x=1 -c y\"\n";
  CHECK(FailureOf(injected).find("not the name of a setting") != std::string::npos);
}

TEST_CASE_FIXTURE(RulesFixture, "the store's rules are read only when nobody else can write them") {
  CHECK(*Read() == std::nullopt);
  REQUIRE(WriteTextFile(Path(), "[a]\n").ok());
  CHECK(*Read() == "[a]\n");
  chmod(Path().c_str(), 0664);
  CHECK(Read().status().message().find("others can write") != std::string::npos);
  chmod(Path().c_str(), 0644);
  std::filesystem::rename(Path(), Path() + ".real");
  std::filesystem::create_symlink(Path() + ".real", Path());
  CHECK(Read().status().message().find("symbolic link") != std::string::npos);
  std::filesystem::remove(Path());
  REQUIRE(mkfifo(Path().c_str(), 0644) == 0);
  CHECK(Read().status().message().find("not a regular file") != std::string::npos);
  std::filesystem::remove(Path());
  REQUIRE(WriteTextFile(Path(), std::string((1 << 20) + 1, '#')).ok());
  CHECK(Read().status().message().find("1 MiB") != std::string::npos);
  if (geteuid() != 0) return;
  REQUIRE(WriteTextFile(Path(), "[a]\n").ok());
  REQUIRE(chown(Path().c_str(), 65534, 65534) == 0);
  CHECK(Read().status().message().find("neither to root nor to the store's owner") !=
        std::string::npos);
}
