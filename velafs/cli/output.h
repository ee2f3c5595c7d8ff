// The two ways out: results on standard output, failures on standard error.
#pragma once

#include <string>

#include "velafs/base/status.h"

namespace velafs::cli {

// All of `text`, flushed. Fails when standard output cannot take it.
Status WriteOut(const std::string& text);
// One line of notice, "velafs: ...".
void WriteNotice(const std::string& text);
// `velafs: error: ...` and maybe `velafs: hint: ...`, each one line, on standard error.
void ReportProblem(const Status& failure);
// That, for the failure that ends the command; with `json` it goes to standard output too, unless a
// result went there before. Returns the exit status.
int ReportFailure(const Status& failure, bool json);

}  // namespace velafs::cli
