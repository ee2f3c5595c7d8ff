// Prints results on standard output, and failures on standard error.
#pragma once

#include <string>

#include "velafs/base/status.h"

namespace velafs::cli {

// Writes and flushes `text`. Fails if standard output does.
Status WriteOut(const std::string& text);
// One line of notice, "velafs: ...".
void WriteNotice(const std::string& text);
// `velafs: error: ...` and maybe `velafs: hint: ...`, each one line, on standard error.
void ReportProblem(const Status& failure);
// Prints the failure that ends the command; with `json` on standard output too, unless a result has
// been printed there. Returns the exit status.
int ReportFailure(const Status& failure, bool json);

}  // namespace velafs::cli
