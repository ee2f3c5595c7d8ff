#include "velafs/cli/output.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "velafs/api/wire.h"
#include "velafs/base/text.h"
#include "velafs/cli/render_json.h"
#include "velafs/cli/style.h"

namespace velafs::cli {
namespace {

void WriteLine(const std::string& kind, const std::string& text) {
  std::fprintf(stderr, "velafs: %s%s\n", kind.c_str(), Printable(text).c_str());
}

bool wrote_out = false;

}  // namespace

Style StyleFor(int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  const bool dumb = terminal != nullptr && std::string(terminal) == "dumb";
  return Style{isatty(fd) == 1 && !dumb && (no_color == nullptr || *no_color == '\0')};
}

Status WriteOut(const std::string& text) {
  wrote_out = true;
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (written && std::fflush(stdout) == 0) return {};
  return SystemError(errno, "cannot write to standard output");
}

void WriteNotice(const std::string& text) { WriteLine("", text); }

void ReportProblem(const Status& failure) {
  const Style style = StyleFor(STDERR_FILENO);
  WriteLine(style.Red("error:") + " ", failure.message());
  if (!failure.hint().empty()) WriteLine(style.Bold("hint:") + " ", failure.hint());
}

int ReportFailure(const Status& failure, bool json) {
  ReportProblem(failure);
  if (json && !wrote_out) {
    // Nothing is left to tell it to when this fails too.
    const Status shown(failure.code(), failure.error_number(), Printable(failure.message()),
                       Printable(failure.hint()));
    static_cast<void>(WriteOut(RenderJson(api::FailureToJson(shown))));
  }
  return ExitStatus(failure.code());
}

}  // namespace velafs::cli
