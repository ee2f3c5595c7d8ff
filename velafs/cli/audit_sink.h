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
  // The last lines that it has, where that can be told, the very last first.
  virtual std::vector<std::string> LastLines() const { return {}; }
  // What the store calls it.
  virtual std::string name() const = 0;
};

// What the store calls a destination: of a file, its path from the root.
std::string AuditSinkName(const std::string& to);

// Of "syslog", "-" for standard output, or the name of a file, which is made if it is missing,
// readable for its owner alone. Refused when that is not a regular file: a symbolic link, say. With
// `as_user`, the file is opened with the rights of that user, and is his if it is made; only root
// may say that.
Result<std::unique_ptr<AuditSink>> OpenAuditSink(const std::string& to,
                                                 const std::optional<std::string>& as_user);

}  // namespace velafs::cli
