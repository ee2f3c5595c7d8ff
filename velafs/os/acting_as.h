// The rights of another user on the filesystem, for one thread.
#pragma once

#include <sys/types.h>

#include <vector>

#include "velafs/base/status.h"

namespace velafs::os {

struct Credentials {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups = {};  // supplementary ones
};

// While one lives, its thread has the filesystem rights of that user. Other threads keep theirs,
// and open files stay open. One thread.
class ActingAs {
 public:
  // Changes nothing if the user is this process's own, or root. Refused for any other user unless
  // this process is root.
  static Result<ActingAs> Begin(const Credentials& user);
  ActingAs(ActingAs&& other) noexcept;
  ActingAs& operator=(ActingAs&&) = delete;
  ~ActingAs();

 private:
  ActingAs() = default;

  bool is_changed_ = false;
  Credentials before_;
};

}  // namespace velafs::os
