// Where `velafs audit ship` sends entries.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "velafs/base/status.h"

namespace velafs::cli {

// One thread.
class AuditSink {
 public:
  virtual ~AuditSink() = default;
  // Sends lines, each with its end. Who is sent them has them on return.
  virtual Status Send(const std::string& lines) = 0;
  // Its last lines, if they can be read, the very last first.
  virtual std::vector<std::string> LastLines() const { return {}; }
  // Its name in the store.
  virtual std::string name() const = 0;
};

// The store's name of a destination: for a file, its path from the root.
std::string AuditSinkName(const std::string& to);

// Of "syslog", "-" for standard output, or the name of a file, which is made if it is missing,
// readable for its owner alone. Refused if it is not a regular file, for example a symbolic link.
// With `as_user`, which only root may give, the file is opened with the rights of that user, who
// owns it if it is made.
Result<std::unique_ptr<AuditSink>> OpenAuditSink(const std::string& to,
                                                 const std::optional<std::string>& as_user);

}  // namespace velafs::cli
