// A server's log as it is shown. The file is the data owner's, who may put anything in it.
#pragma once

#include <cstdint>
#include <string>

#include "pgctl-wrapper/process/unique_fd.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// One thread.
class LogView {
 public:
  // Refused unless it is a regular file and not a symbolic link. Fails with ENOENT if it does not
  // exist.
  static Result<LogView> Open(const std::string& path);

  // What follows begins with the last so many lines.
  Status SkipToLast(size_t lines);
  // Prints the rest; on a terminal without control characters.
  Status Show();
  // Shows the rest and then new lines of the file, or of another file that takes its name. Returns
  // only on failure.
  Status Follow();
  Result<std::string> ReadRest();

 private:
  LogView(std::string path, UniqueFd file) : path_(std::move(path)), file_(std::move(file)) {}
  void Print(std::string_view bytes);
  // Whether the name leads to another file, or this one has become shorter: then from its start.
  bool Reopen();

  std::string path_;
  UniqueFd file_;
  uint64_t offset_ = 0;
  std::string line_;  // its beginning, while its end is not there
};

}  // namespace velafs::pgctl
