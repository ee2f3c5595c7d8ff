#include "pgctl-wrapper/connect/server_address.h"

#include <sys/stat.h>

#include <cerrno>

#include "pgctl-wrapper/data/data_dir.h"
#include "pgctl-wrapper/server/run_dir.h"

namespace velafs::pgctl {

Result<ServerAddress> AddressOf(const Session& session, const Branch& branch, const Owner& owner) {
  const std::string dir = FindRunDir(session.store(), branch.id).socket_dir;
  struct stat info {};
  const bool is_there = lstat(dir.c_str(), &info) == 0;
  if (!is_there && errno != ENOENT) return SystemError(errno, "cannot look at \"" + dir + "\"");
  const Status stranger =
      Failed("the server of branch \"" + branch.name + "\" was not started by velapg",
             HowToReachStranger(branch.name, branch.data_dir));
  if (!is_there || !branch.port) return stranger;
  if (S_ISDIR(info.st_mode) && info.st_uid == owner.uid && (info.st_mode & 077) == 0) {
    const std::string socket = dir + "/.s.PGSQL." + std::to_string(*branch.port);
    if (lstat(socket.c_str(), &info) != 0 && errno == ENOENT) return stranger;
    return ServerAddress{dir, *branch.port};
  }
  return Refused("\"" + dir + "\" is not a directory of user \"" + owner.name + "\" alone",
                 "remove it, if no server uses it, and start the server again");
}

}  // namespace velafs::pgctl
