#include "velafs/cli/log_formatter.h"

#include <doctest/doctest.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>

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

}  // namespace
}  // namespace velafs::cli
