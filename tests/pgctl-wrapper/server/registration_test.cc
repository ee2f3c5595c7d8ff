#include "pgctl-wrapper/server/registration.h"

#include <doctest/doctest.h>

#include "pgctl-wrapper/server/stand_in.h"

using namespace velafs;
using namespace velafs::pgctl;

namespace {

Registration Example() {
  Registration it;
  it.store = "/var/lib/velafs";
  it.branch = "pr-1";
  it.version = "15";
  it.cluster = "review";
  it.port = 54321;
  it.data_dir = "/srv/velafs/pr-1";
  it.socket_dir = "/var/lib/velafs/run/2";
  it.log = "/var/lib/velafs/run/2/postgres.log";
  it.velapg = "/usr/bin/velapg";
  return it;
}

bool Has(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("a cluster's configuration is for postgresql-common, and refused by servers") {
  const std::string text = ClusterConfig(Example());
  CHECK(Has(text, "data_directory = '/var/lib/postgresql/15/review'"));
  CHECK(Has(text, "port = 54321"));
  CHECK(Has(text, "unix_socket_directories = '/var/lib/velafs/run/2'"));
  // No setting of PostgreSQL's, nor, without a dot, of an extension's.
  CHECK(Has(text, "start_it_with_pg_ctlcluster_or_velapg = on"));
  const auto parsed = ParseClusterConfig(text);
  REQUIRE(parsed.has_value());
  CHECK(parsed->store == "/var/lib/velafs");
  CHECK(parsed->branch == "pr-1");
  CHECK_FALSE(ParseClusterConfig("data_directory = '/var/lib/postgresql/15/main'\n").has_value());
}

TEST_CASE("a cluster is started by velapg, as a service, too") {
  CHECK(Has(ClusterControl(Example()),
            "pg_ctl_options = '-p /usr/bin/velapg -o --velafs-store=/var/lib/velafs "
            "-o --velafs-branch=pr-1'"));
  const std::string unit = ClusterUnit(Example());
  CHECK(Has(unit,
            "ExecStart=/usr/bin/velapg --store /var/lib/velafs --quiet start pr-1 "
            "--foreground --timeout 1d"));
  CHECK(Has(unit, "BindsTo=velafs.service"));
  CHECK(Has(unit, "SyslogLevelPrefix=no"));  // lines of a branch's log have no say in the journal
  Registration other = Example();
  other.store = "/srv/store";
  CHECK_FALSE(Has(ClusterUnit(other), "BindsTo=velafs.service"));
}

TEST_CASE("names and paths that a shell or systemd would take otherwise are no cluster's") {
  for (const char* name : {"review", "pr-1", "PR_1.b"}) CHECK(CheckClusterName(name).ok());
  for (const char* name : {"", "-x", ".x", "a b", "a/b", "../x", "a'b", "a$b", "a\nb"}) {
    CHECK(CheckClusterName(name).code() == Code::kUsage);
  }
  CHECK(CheckShellPath("/var/lib/velafs_2/run/2").ok());
  for (const char* path :
       {"relative", "/a b", "/a'b", "/a\"b", "/$(id)", "/a;b", "/a\\b", "/a\nb"}) {
    CHECK(CheckShellPath(path).code() == Code::kRefused);
  }
}

TEST_CASE("velapg stands in for postgres with the options of pg_ctlcluster alone") {
  const std::vector<std::string> words = {"-D",
                                          "/var/lib/postgresql/15/review",
                                          "--velafs-store=/s",
                                          "--velafs-branch=pr-1",
                                          "-c",
                                          "config_file=/etc/postgresql/15/review/postgresql.conf",
                                          "-c",
                                          "external_pid_file=/var/run/postgresql/15-review.pid"};
  CHECK(IsStandIn(words));
  const auto parsed = ParseStandIn(words);
  REQUIRE(parsed.ok());
  CHECK(parsed->store == "/s");
  CHECK(parsed->branch == "pr-1");
  CHECK_FALSE(IsStandIn({"start", "pr-1"}));
  CHECK_FALSE(IsStandIn({"-D", "/dir", "-c", "port=1"}));
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"-c", "archive_mode=on"}, {"--archive_mode=on"}, {"-p", "1"}}) {
    std::vector<std::string> with = words;
    with.insert(with.end(), more.begin(), more.end());
    CHECK(ParseStandIn(with).status().code() == Code::kRefused);
  }
}
