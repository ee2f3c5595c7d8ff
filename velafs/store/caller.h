// Who asks, as the kernel says it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace velafs::store {

// Each includes the rights of those before it.
enum class Role { kNone, kViewer, kUser, kAdmin };

// The process at the other end of the socket (SO_PEERCRED), or this process itself.
struct Caller {
  uint32_t uid = 0;
  std::string user;  // name of uid; the number when it has none
  // The groups that also decide which files it may read, and its role; ignored if uid is this
  // process's or root's.
  uint32_t gid = 0;
  std::vector<uint32_t> groups = {};
  uint32_t pid = 0;  // 0: not known
  Role role = Role::kUser;

  // May change all branches, whoever owns them.
  bool IsAdmin() const;
};

}  // namespace velafs::store
