// Runs another program to its end.
#pragma once

#include <string>
#include <vector>

#include "velafs/base/status.h"

namespace velafs::cli {

struct Child {
  int exit_status = 0;  // 128 + N when signal N ended it
  std::string out;
};

// The child's output on standard error.
enum class ChildMessages { kShown, kDropped };

// Looks for `words[0]` in $PATH unless it has a slash; NotFound if there is no such program.
// Returns the program's output.
Result<Child> RunChild(std::vector<std::string> words,
                       ChildMessages messages = ChildMessages::kShown);

}  // namespace velafs::cli
