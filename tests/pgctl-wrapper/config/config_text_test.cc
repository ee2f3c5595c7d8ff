#include "pgctl-wrapper/config/config_text.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "pgctl-wrapper/process/text_file.h"

using namespace velafs;
using namespace velafs::pgctl;

namespace {

struct Files {
  Files() : dir(std::filesystem::temp_directory_path() / ("config-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(dir / "conf.d");
  }
  ~Files() { std::filesystem::remove_all(dir); }

  std::string Make(const std::string& name, const std::string& text) {
    REQUIRE(WriteTextFile(dir / name, text).ok());
    return dir / name;
  }
  ConfigText Read() {
    Result<ConfigText> config = ConfigText::Read(dir / "postgresql.conf");
    REQUIRE(config.ok());
    return *std::move(config);
  }

  std::filesystem::path dir;
};

// The number of the line in the text.
size_t NumberOf(const std::string& text, const std::string& line) {
  const size_t at = ("\n" + text).find("\n" + line + "\n");
  REQUIRE(at != std::string::npos);
  return static_cast<size_t>(std::count(text.begin(), text.begin() + static_cast<long>(at), '\n')) +
         1;
}

bool ContainsLine(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("a line of a configuration file is taken apart as the server does it") {
  struct Case {
    const char* line;
    const char* name;
    const char* value;
  };
  const Case cases[] = {
      {"lc_messages = 'de_DE.UTF-8'  # German", "lc_messages", "de_DE.UTF-8"},
      {"\tWork_Mem=4MB", "work_mem", "4MB"},
      {"include 'more.conf'", "include", "more.conf"},
      {"x.y 'it''s \\' one'", "x.y", "it's ' one"},
      {"fsync on\r", "fsync", "on"},
      {"# port = 5432", "", ""},
      {"   ", "", ""},
      {"= 3", "", ""},
  };
  for (const Case& it : cases) {
    CAPTURE(it.line);
    const ConfigSetting setting = ParseConfigLine(it.line);
    CHECK(setting.name == it.name);
    CHECK(setting.value == it.value);
  }
}

TEST_CASE_FIXTURE(Files, "a line that is too long is left out") {
  const std::string path = Make("postgresql.conf", "a = 1\nb = '" + std::string(300'000, 'x') +
                                                       "'\nc = '" + std::string(4000, 'x') + "'\n");
  const ConfigText config = Read();
  CHECK(config.ToText().size() < 8192);
  CHECK(ContainsLine(config.ToText(), "a = 1"));
  REQUIRE(config.LeftOut().size() == 1);
  CHECK(config.LeftOut()[0].Place() == path + " line 2");
  CHECK(config.LeftOut()[0].why == "the line is longer than 4 KiB");
}

TEST_CASE_FIXTURE(Files, "included files stand in the place of the lines that include them") {
  Make("postgresql.conf",
       "a = 1\ninclude 'one.conf'\ninclude_dir 'conf.d'\ninclude_if_exists 'none.conf'\nb = 2\n");
  Make("one.conf", "c = 3");
  Make("conf.d/20.conf", "e = 5\n");
  Make("conf.d/10.conf", "d = 4\n");
  Make("conf.d/30.txt", "f = 6\n");
  Make("conf.d/.40.conf", "g = 7\n");
  const ConfigText config = Read();
  const std::string text = config.ToText();
  CHECK(
      text.ends_with("a = 1\n# include 'one.conf'\nc = 3\n# include_dir 'conf.d'\nd = 4\ne = 5\n"
                     "# include_if_exists 'none.conf'\nb = 2\n"));
  CHECK(config.LeftOut().empty());
}

TEST_CASE_FIXTURE(Files, "what cannot be included is left out, and named with its place") {
  const std::string path = Make("postgresql.conf", "a = 1\ninclude 'missing.conf'\n");
  const ConfigText config = Read();
  REQUIRE(config.LeftOut().size() == 1);
  CHECK(config.LeftOut()[0].Place() == path + " line 2");
  CHECK(config.LeftOut()[0].why.find("missing.conf\": No such file") != std::string::npos);
  CHECK(ContainsLine(config.ToText(), "# left out: # include 'missing.conf'"));
  CHECK(ContainsLine(config.ToText(), "a = 1"));
}

TEST_CASE_FIXTURE(Files, "a file that includes itself ends somewhere") {
  Make("postgresql.conf", "a = 1\ninclude 'postgresql.conf'\n");
  const ConfigText config = Read();
  REQUIRE(config.LeftOut().size() == 1);
  CHECK(config.LeftOut()[0].why == "it includes itself, or files too deep");
}

TEST_CASE_FIXTURE(Files, "a line is left out by its number in the text") {
  const std::string path = Make("postgresql.conf", "a = 1\nbroken line here\n");
  ConfigText config = Read();
  CHECK(config.LeaveOutLine(NumberOf(config.ToText(), "broken line here"), "syntax error"));
  CHECK(ContainsLine(config.ToText(), "# left out: broken line here"));
  REQUIRE(config.LeftOut().size() == 1);
  CHECK(config.LeftOut()[0].setting.empty());
  CHECK(config.LeftOut()[0].Place() == path + " line 2");
  SUBCASE("once") {
    CHECK(!config.LeaveOutLine(NumberOf(config.ToText(), "# left out: broken line here"), "again"));
  }
  SUBCASE("and not past the text") {
    CHECK(!config.LeaveOutLine(1, "header"));
    CHECK(!config.LeaveOutLine(1000, "past its end"));
  }
}

TEST_CASE_FIXTURE(Files, "all lines of a setting are left out, and the last of them is named") {
  const std::string path = Make("postgresql.conf", "TimeZone = 'X'\na = 1\ntimezone = 'Y/Z'\n");
  ConfigText config = Read();
  CHECK(config.LeaveOutSetting("timezone", "invalid"));
  CHECK(!config.LeaveOutSetting("timezone", "invalid"));
  CHECK(!config.LeaveOutSetting("b", "invalid"));
  REQUIRE(config.LeftOut().size() == 1);
  CHECK(config.LeftOut()[0].Place() == path + " line 3");
  CHECK(ContainsLine(config.ToText(), "# left out: TimeZone = 'X'"));
  CHECK(ContainsLine(config.ToText(), "a = 1"));
}

TEST_CASE_FIXTURE(Files, "the last line that sets something is found") {
  const std::string path = Make("postgresql.auto.conf", "# a = 0\na = '1'\nb = 2\nA = '3'\n");
  CHECK(LineThatSets(path, "a") == 4);
  CHECK(LineThatSets(path, "c") == 0);
  CHECK(LineThatSets(path + ".none", "a") == 0);
}
