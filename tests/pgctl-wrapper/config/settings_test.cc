#include "pgctl-wrapper/config/settings.h"

#include <doctest/doctest.h>

using namespace velafs::pgctl;
using Names = std::vector<std::string>;

TEST_CASE("only settings that a line mentions are asked for") {
  const std::string config =
      "#shared_buffers = 1GB\n"
      "  \t# wal_buffers = 1GB\n"
      "work_mem = 4MB\t# huge_pages = on\n"
      "Maintenance_Work_Mem '2GB'\n";
  CHECK(MentionedSettings({config}, {"shared_buffers", "wal_buffers"}) == Names{});
  CHECK(MentionedSettings({config}, {"shared_buffers", "maintenance_work_mem"}) ==
        Names{"maintenance_work_mem"});
  CHECK(MentionedSettings({config}, {"huge_pages"}) == Names{"huge_pages"});
  CHECK(MentionedSettings({"", config}, {"maintenance_work_mem"}) == Names{"maintenance_work_mem"});
  CHECK(MentionedSettings({"a = 1", "wal_buffers = 1"}, {"wal_buffers"}) == Names{"wal_buffers"});
}

TEST_CASE("a configuration that includes another file may set anything") {
  const Names names = {"shared_buffers", "huge_pages"};
  for (const char* line :
       {"include 'more.conf'", "  INCLUDE_DIR = 'conf.d'", "include_if_exists = 'more.conf'"}) {
    CHECK(MentionedSettings({std::string(line) + "\n"}, names) == names);
  }
  CHECK(MentionedSettings({"#include 'more.conf'\n"}, names) == Names{});
}

TEST_CASE("the files of SSL are asked for where SSL is on and they are left at their defaults") {
  const Names names = {"ssl", "ssl_cert_file", "ssl_key_file"};
  CHECK(MentionedSettings({"ssl = on\n"}, names) == names);
  CHECK(MentionedSettings({"port = 5432\n"}, names) == Names{});
}
