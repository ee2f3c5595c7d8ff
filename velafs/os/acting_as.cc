#include "velafs/os/acting_as.h"

#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "velafs/base/check.h"

namespace velafs::os {
namespace {

// The C library's setgroups would change all threads.
bool SetGroupsOfThread(const std::vector<gid_t>& groups) {
  return syscall(SYS_setgroups, groups.size(), groups.data()) == 0;
}

// These two report no failure: what is in force is asked for with an id that nobody can have.
bool SetFilesystemUser(uid_t uid) {
  setfsuid(uid);
  return static_cast<uid_t>(setfsuid(static_cast<uid_t>(-1))) == uid;
}
bool SetFilesystemGroup(gid_t gid) {
  setfsgid(gid);
  return static_cast<gid_t>(setfsgid(static_cast<gid_t>(-1))) == gid;
}

// The user last: with root's go the rights to change the rest, where it is a namespace's.
bool Become(const Credentials& user) {
  return SetGroupsOfThread(user.groups) && SetFilesystemGroup(user.gid) &&
         SetFilesystemUser(user.uid);
}

}  // namespace

Result<ActingAs> ActingAs::Begin(const Credentials& user) {
  ActingAs acting;
  if (user.uid == geteuid() || user.uid == 0) return acting;
  if (geteuid() != 0) {
    return Refused("only root's daemon can act as another user",
                   "run the command without a daemon, on a store of your own");
  }
  acting.before_ = {geteuid(), getegid(), {}};
  acting.before_.groups.resize(static_cast<size_t>(getgroups(0, nullptr)));
  const int count =
      getgroups(static_cast<int>(acting.before_.groups.size()), acting.before_.groups.data());
  if (count < 0) return SystemError(errno, "cannot read this process's groups");
  acting.before_.groups.resize(static_cast<size_t>(count));
  acting.is_changed_ = true;
  if (!Become(user)) return Failed("cannot act as user " + std::to_string(user.uid));
  return acting;
}

ActingAs::ActingAs(ActingAs&& other) noexcept
    : is_changed_(std::exchange(other.is_changed_, false)), before_(std::move(other.before_)) {}

ActingAs::~ActingAs() {
  if (!is_changed_) return;
  // A thread that stays another user would fail in ways nobody could explain.
  VELAFS_CHECK(SetFilesystemUser(before_.uid) && Become(before_));
}

}  // namespace velafs::os
