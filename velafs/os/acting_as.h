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

// While one lives, what its thread asks of any filesystem is granted or denied as to that user;
// other threads keep what they have, and a file that is open stays open. One thread.
class ActingAs {
 public:
  // Nothing changes for this process's own user, nor for root, who may do all that it may. Refused
  // for anybody else unless this process is root.
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
