#include "velafs/cli/log_formatter.h"

#include <doctest/doctest.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <sstream>

namespace velafs::cli {
namespace {

TEST_CASE("no word in a message makes a line of the log, or is obeyed by a terminal") {
  std::ostringstream log;
  spdlog::logger logger("test", std::make_shared<spdlog::sinks::ostream_sink_st>(log));
  logger.set_formatter(LogFormatter("velafs: %l: "));
  logger.warn("refused the link \"{}\" to \"{}\"", "a\nvelafs: error: b", "\x1b[2Jc\xff");
  logger.warn("\u00e4 is a letter");
  CHECK(log.str() ==
        "velafs: warning: refused the link \"a\\nvelafs: error: b\" to \"\\x1b[2Jc\\xff\"\n"
        "velafs: warning: \u00e4 is a letter\n");
}

TEST_CASE("a line for the journal begins with its priority, and has no time") {
  std::ostringstream log;
  spdlog::logger logger("test", std::make_shared<spdlog::sinks::ostream_sink_st>(log));
  logger.set_level(spdlog::level::debug);
  logger.set_formatter(JournalFormatter());
  logger.error("the disk is full");
  logger.warn("a\n<0>b");
  logger.info("mounted");
  logger.debug("detail");
  CHECK(log.str() == "<3>the disk is full\n<4>a\\n<0>b\n<6>mounted\n<7>detail\n");
}

TEST_CASE("standard error is the journal only if the variable names its file") {
  struct stat info {};
  REQUIRE(fstat(STDERR_FILENO, &info) == 0);
  const std::string here = std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino);
  setenv("JOURNAL_STREAM", here.c_str(), 1);
  CHECK(StderrIsJournal());
  setenv("JOURNAL_STREAM", (here + "0").c_str(), 1);
  CHECK_FALSE(StderrIsJournal());
  unsetenv("JOURNAL_STREAM");
  CHECK_FALSE(StderrIsJournal());
}

}  // namespace
}  // namespace velafs::cli
