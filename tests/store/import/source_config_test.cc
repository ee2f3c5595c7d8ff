// The configuration that a distribution keeps outside of PGDATA.
#include "velafs/store/import/source_config.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "tests/store/store_fixture.h"
#include "velafs/store/import/config_text.h"

namespace velafs::store {
namespace {

using namespace test;

struct ConfigFixture : StoreFixture {
  ConfigFixture() { fs::remove(data + "/postgresql.conf"); }

  // A cluster's directory in what stands for /etc/postgresql.
  std::string Cluster(const std::string& name, const std::string& settings) {
    const std::string directory = etc + "/15/" + name;
    WriteHostFile(directory + "/postgresql.conf", settings);
    return directory;
  }
  // What the branch would have of the configuration, by path.
  std::map<std::string, std::string> Found(const std::string& config_dir = "") {
    auto found = FindSource(data, root, {geteuid(), getegid()});
    REQUIRE_MESSAGE(found.ok(), found.status().message());
    source = *std::move(found);
    source.warnings.clear();
    const Status added = AddConfiguration(source, config_dir, {source.reader}, etc);
    REQUIRE_MESSAGE(added.ok(), added.message());
    std::map<std::string, std::string> texts;
    for (uint32_t i = 0; i < source.entries.size(); ++i) {
      if (source.IsText(i)) texts[source.BranchPath(i)] = source.changes.at(i).suffix;
    }
    return texts;
  }
  bool IsWarned(const std::string& words) const {
    return std::ranges::any_of(source.warnings, [&words](const std::string& warning) {
      return warning.find(words) != std::string::npos;
    });
  }

  const std::string etc = scratch / "etc";
  Source source;
};

using Texts = std::map<std::string, std::string>;

TEST_CASE("a configuration is read as PostgreSQL reads it") {
  const auto lines = ParseConfig(
      "# comment\n  Port = 5432 # the port\nsearch_path='a,''b''' \nwork_mem 4MB\n"
      "include 'x\\'y.conf'\nport=1\n=\nnothing\n");
  REQUIRE(lines.size() == 5);
  CHECK(lines[0].name == "port");
  CHECK(lines[0].value == "5432");
  CHECK(lines[1].value == "a,'b'");
  CHECK(lines[2].value == "4MB");
  CHECK(lines[3].value == "x'y.conf");
  CHECK(ValueIn(lines, "port") == "1");
  CHECK(ValueIn(lines, "timezone").empty());
}

TEST_CASE_FIXTURE(ConfigFixture, "the configuration that names the directory is taken along") {
  const std::string own = "data_directory = '" + data +
                          "/.'\ninclude_dir = 'conf.d'\n"
                          "include_if_exists 'none.conf'\ninclude 'more/x.conf'\n";
  const std::string directory = Cluster("mine", own);
  Cluster("other", "data_directory = '/srv/other'\n");
  WriteHostFile(directory + "/conf.d/a.conf", "include '../b.conf'");
  WriteHostFile(directory + "/conf.d/ignored", "x");
  WriteHostFile(directory + "/b.conf", "b");
  WriteHostFile(directory + "/more/x.conf", "x = 1");
  WriteHostFile(directory + "/pg_hba.conf", "hba");
  WriteHostFile(directory + "/start.conf", "auto");
  CHECK(Found() == Texts{{"postgresql.conf", own},
                         {"conf.d/a.conf", "include '../b.conf'"},
                         {"b.conf", "b"},
                         {"more/x.conf", "x = 1"},
                         {"pg_hba.conf", "hba"}});
  CHECK(source.config_dir == directory);
  REQUIRE(source.warnings.size() == 1);
  CHECK(source.warnings[0].starts_with("its configuration comes from \"" + directory + "\": "));
}

TEST_CASE_FIXTURE(ConfigFixture, "else the one with the directory's version and name is taken") {
  const std::string moved = scratch / "15/main";
  fs::create_directories(scratch / "15");
  fs::rename(data, moved);
  Cluster("main", "data_directory = '/nonexistent/15/main'\n");
  CHECK(DebianConfigOf(moved, etc) == etc + "/15/main");
  CHECK_FALSE(DebianConfigOf(scratch / "15", etc));
}

TEST_CASE_FIXTURE(ConfigFixture, "a configuration that others could have written is nobody's") {
  const std::string directory = Cluster("mine", "data_directory = '" + data + "'\n");
  SUBCASE("the directory") { fs::permissions(directory, fs::perms(0777)); }
  SUBCASE("the file") { fs::permissions(directory + "/postgresql.conf", fs::perms(0666)); }
  SUBCASE("a link of the directory") {
    fs::rename(directory, scratch / "elsewhere");
    fs::create_symlink(scratch / "elsewhere", directory);
  }
  CHECK(Found().empty());
  CHECK(IsWarned("it has no postgresql.conf: servers on the branch run with PostgreSQL's default"));
}

TEST_CASE_FIXTURE(ConfigFixture, "a directory that is listed twice is read once") {
  WriteHostFile(scratch / "conf/postgresql.conf",
                "include_dir 'conf.d'\ninclude_dir './conf.d/'\ninclude_dir 'conf.d'\n");
  WriteHostFile(scratch / "conf/conf.d/x.conf", "a = 1");
  const os::UniqueFd watch(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const std::string watched = scratch / "conf/conf.d";
  REQUIRE(inotify_add_watch(watch.get(), watched.c_str(), IN_OPEN) >= 0);
  CHECK(Found(scratch / "conf").size() == 2);
  alignas(inotify_event) std::array<char, 4096> events;
  const ssize_t length = read(watch.get(), events.data(), events.size());
  int opened = 0;
  for (ssize_t at = 0; at < length;) {
    const auto* event = reinterpret_cast<const inotify_event*>(events.data() + at);
    if ((event->mask & IN_ISDIR) != 0) ++opened;
    at += static_cast<ssize_t>(sizeof *event + event->len);
  }
  CHECK(opened == 1);
}

TEST_CASE_FIXTURE(ConfigFixture, "a configuration of directories without end is refused") {
  std::string settings;
  for (int i = 0; i < 256; ++i) settings += "include_dir 'd" + std::to_string(i) + "'\n";
  WriteHostFile(scratch / "conf/postgresql.conf", settings);
  options.config_dir = scratch / "conf";
  CheckMessage(ImportFailure(), "has more than 256 files and directories");
}

TEST_CASE_FIXTURE(ConfigFixture, "a directory that is another's since it was looked up fails") {
  WriteHostFile(scratch / "conf/postgresql.conf", "a = 1");
  auto found = FindSource(data, root, {geteuid(), getegid()});
  REQUIRE(found.ok());
  const ConfigReader reader{{geteuid(), getegid(), {}}, true};
  CHECK(AddConfiguration(*found, scratch / "conf", reader, etc).ok());
  if (geteuid() != 0) return;  // only root gives a directory away
  SUBCASE("it belongs to another") {
    REQUIRE(lchown((scratch / "conf").c_str(), 65534, 65534) == 0);
  }
  SUBCASE("others may write to it") { fs::permissions(scratch / "conf", fs::perms(0777)); }
  CheckMessage(AddConfiguration(*found, scratch / "conf", reader, etc),
               "conf\" changed while it was read");
}

TEST_CASE_FIXTURE(ConfigFixture, "a directory that is named is taken, and own files stay") {
  WriteHostFile(scratch / "conf/postgresql.conf", "theirs");
  WriteHostFile(scratch / "conf/pg_hba.conf", "theirs");
  WriteHostFile(data + "/pg_hba.conf", "own");
  CHECK(Found(scratch / "conf") == Texts{{"postgresql.conf", "theirs"}});
  CHECK(source.config_dir == scratch / "conf");
  WriteHostFile(data + "/postgresql.conf", "own");
  CHECK(Found(scratch / "conf").empty());
  CHECK(IsWarned("it has a postgresql.conf of its own, which is used"));
}

TEST_CASE_FIXTURE(ConfigFixture, "what it includes from elsewhere is named") {
  WriteHostFile(scratch / "conf/postgresql.conf", "include '/etc/common.conf'\ninclude './../x'\n");
  Found(scratch / "conf");
  CHECK(IsWarned("\"postgresql.conf\" includes \"/etc/common.conf\", which is not imported"));
  CHECK(IsWarned("\"postgresql.conf\" includes \"./../x\", which is not imported"));
  WriteHostFile(data + "/postgresql.conf", "include '/etc/common.conf'\n");
  CHECK(Import("main").warnings[0].find("includes \"/etc/common.conf\"") != std::string::npos);
}

TEST_CASE_FIXTURE(ConfigFixture, "a named directory without a configuration is refused") {
  options.config_dir = scratch / "none";
  CHECK(ImportFailure().code() == Code::kNotFound);
  fs::create_directory(scratch / "none");
  CHECK(ImportFailure().code() == Code::kRefused);
  CheckIsEmpty();
}

TEST_CASE_FIXTURE(ConfigFixture, "an include that leads nowhere is named, and the rest is taken") {
  WriteHostFile(scratch / "conf/postgresql.conf",
                "include 'missing.conf'\ninclude_dir 'none.d'\n"
                "include_if_exists 'optional.conf'\ninclude_if_exists '/nowhere/optional.conf'\n");
  options.config_dir = scratch / "conf";
  const ImportResult result = Import("main");
  REQUIRE(result.warnings.size() == 3);
  CHECK(result.warnings[0].starts_with(
      "\"postgresql.conf\" includes \"missing.conf\", which does not exist"));
  CHECK(result.warnings[1].find("\"none.d\", which does not exist") != std::string::npos);
  CHECK(result.warnings[2].starts_with("its configuration comes from"));
}

TEST_CASE_FIXTURE(ConfigFixture, "an include with a path from the root stays that in conf.d, too") {
  WriteHostFile(scratch / "conf/postgresql.conf", "include_dir 'conf.d'\n");
  WriteHostFile(scratch / "conf/conf.d/a.conf", "include '/etc/extra.conf'\n");
  WriteHostFile(scratch / "conf/conf.d/b.conf", "include_dir '/etc/extra.d'\n");
  CHECK(Found(scratch / "conf").size() == 3);
  CHECK(IsWarned("\"conf.d/a.conf\" includes \"/etc/extra.conf\", which is not imported"));
  CHECK(IsWarned("\"conf.d/b.conf\" includes \"/etc/extra.d\", which is not imported"));
}

TEST_CASE_FIXTURE(ConfigFixture, "an empty conf.d comes along") {
  fs::create_directories(scratch / "conf/conf.d");
  WriteHostFile(scratch / "conf/postgresql.conf", "include_dir = 'conf.d'\n");
  options.config_dir = scratch / "conf";
  CHECK(Import("main").warnings.size() == 1);
  CHECK(BranchTree("main").contains("conf.d"));
}

TEST_CASE_FIXTURE(ConfigFixture, "what a directory's own files include from elsewhere is named") {
  WriteHostFile(data + "/postgresql.conf",
                "include_dir 'conf.d'\ninclude_if_exists '/nowhere/x.conf'\n");
  WriteHostFile(data + "/conf.d/a.conf", "include '/etc/a.conf'\ninclude 'deep/b.conf'\n");
  WriteHostFile(data + "/conf.d/deep/b.conf", "include_dir '/etc/b.d'\ninclude '../a.conf'\n");
  const ImportResult result = Import("main");
  REQUIRE(result.warnings.size() == 2);
  CHECK(result.warnings[0].starts_with("\"conf.d/a.conf\" includes \"/etc/a.conf\", which is not"));
  CHECK(result.warnings[1].starts_with("\"conf.d/deep/b.conf\" includes \"/etc/b.d\", which is"));
}

TEST_CASE_FIXTURE(ConfigFixture, "a configuration that comes along tells nothing of tablespaces") {
  WriteHostFile(scratch / "conf/postgresql.conf", "port = 1\n");
  WriteHostFile(data + "/postgresql.auto.conf", "# none\n");
  options.config_dir = scratch / "conf";
  for (const std::string& warning : Import("main").warnings) {
    CHECK_MESSAGE(warning.find("tablespaces") == std::string::npos, warning);
  }
  CHECK(BranchTree("main").at("postgresql.auto.conf").ends_with(ContentOf("# none\n")));
}

TEST_CASE_FIXTURE(ConfigFixture, "the branch has the configuration as files of the data's owner") {
  WriteHostFile(scratch / "conf/postgresql.conf", "include_dir 'conf.d'\n");
  WriteHostFile(scratch / "conf/conf.d/x.conf", "timezone = 'Asia/Tokyo'\n");
  options.config_dir = scratch / "conf";
  const ImportResult result = Import("main");
  CHECK(result.config_dir == scratch / "conf");
  const Tree tree = BranchTree("main");
  CHECK(tree.at("conf.d").starts_with("40700 "));
  CHECK(tree.at("conf.d/x.conf").starts_with("100600 "));
  CHECK(tree.at("conf.d/x.conf").ends_with(ContentOf("timezone = 'Asia/Tokyo'\n")));
}

}  // namespace
}  // namespace velafs::store
