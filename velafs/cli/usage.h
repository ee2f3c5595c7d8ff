// Errors of a command line, in this project's form.
#pragma once

#include <CLI/CLI.hpp>

#include "velafs/base/status.h"

namespace velafs::cli {

// The failure for CLI11's `error`. Its hint names the nearest command or option, or the help.
Status UsageFailure(const CLI::App& app, const CLI::ParseError& error);

// Prints help without CLI11's headings for groups of options.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_expanded(const CLI::App* app) const override;
};

}  // namespace velafs::cli
