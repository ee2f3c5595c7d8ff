// The user that a branch's data belongs to, and acting as that user. PostgreSQL refuses to run as
// root and to open files of somebody else, so everything on a branch is done as its data's owner.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "velafs/base/status.h"

namespace velafs::pgctl {

struct Owner {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name;  // the number when the uid has no name
  std::string home;
};

// The user that this process acts as.
Owner CurrentUser();
// The owner of a file. Fails with the errno of stat.
Result<Owner> OwnerOfFile(const std::string& path);
// The owner of DATA_DIR/PG_VERSION, or of DATA_DIR if that is closed to this process. Fails if
// there is no such file.
Result<Owner> OwnerOfData(const std::string& data_dir);

// Of a directory; nothing when there is none.
std::optional<Owner> OwnerOfDirectory(const std::string& directory);

// Refused if this process is root of a user namespace that does not have `owner`: it cannot become
// that user.
Status CheckNamespace(const Owner& owner);
// True if `map`, the text of /proc/self/uid_map or gid_map, has the id.
bool IsMapped(std::string_view map, uint32_t id);

// Ok when this process may act as `owner`: it runs as that user, or as root. Refused otherwise, and
// when the owner is root.
Status CheckMayActAs(const Owner& owner, const std::string& branch);

// While it lives, the process opens files and sends signals as `owner`; then as itself again. Does
// nothing unless the process runs as root. Not nestable. One thread per process.
class ActingAs {
 public:
  explicit ActingAs(const Owner& owner);
  ~ActingAs();
  ActingAs(const ActingAs&) = delete;
  ActingAs& operator=(const ActingAs&) = delete;

 private:
  bool switched_;
  gid_t own_gid_ = 0;
  std::vector<gid_t> own_groups_;
};

// Makes this process `owner`'s for good. For a child about to exec; works under ActingAs too.
Status BecomeForGood(const Owner& owner);

}  // namespace velafs::pgctl
