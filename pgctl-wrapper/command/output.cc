#include "pgctl-wrapper/command/output.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string_view>

#include "velafs/base/text.h"

namespace velafs::pgctl {
namespace {

using nlohmann::json;

void WriteOut(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void WriteJson(const json& document) {
  WriteOut(document.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
}

// A hint may quote lines of a log.
void WriteNotice(const std::string& text) {
  std::string shown;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    shown +=
        (begin == 0 ? "" : "\n") + Printable(std::string_view(text).substr(begin, end - begin));
    begin = end + 1;
  }
  std::fprintf(stderr, "velapg: %s\n", shown.c_str());
}

}  // namespace

std::string PrettyJson(const json& document) {
  return document.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

void Output::Print(const json& document) const {
  Print(document, as_json_ ? std::string() : PrettyJson(document));
}

void Output::Print(const json& document, const std::string& text) const {
  if (as_json_) {
    WriteJson(document);
  } else {
    WriteOut(text);
  }
}

void Output::Confirm(const json& document, const std::string& text) const {
  if (as_json_ || !quiet_) Print(document, text);
}

void Output::Warn(const std::string& text) const {
  if (!quiet_) WriteNotice("warning: " + text);
}

void Output::Complain(const Status& failure) const {
  WriteNotice("error: " + failure.message());
  if (!failure.hint().empty()) WriteNotice("hint: " + failure.hint());
}

bool Output::shows_progress() const { return !quiet_ && isatty(STDERR_FILENO) != 0; }

void Progress::Show(const std::string& text) {
  if (!output_.shows_progress() || (text.empty() && !is_shown_)) return;
  std::fprintf(stderr, "\r\033[K%s", Printable(text).c_str());
  std::fflush(stderr);
  is_shown_ = !text.empty();
}

int Output::Fail(const Status& failure) const {
  Complain(failure);
  if (as_json_) {
    json error = {{"code", CodeName(failure.code())}, {"message", failure.message()}};
    if (!failure.hint().empty()) error["hint"] = failure.hint();
    WriteJson({{"error", std::move(error)}});
  }
  return ExitStatus(failure.code());
}

}  // namespace velafs::pgctl
