// A place apart for the programs of a branch: namespaces in which there is no network but a
// loopback, and no way to the sockets of the host's other servers.
//
// A network namespace does not close Unix sockets that have a path: who sees the path can connect.
// So the directories where such sockets are made are empty there, and so is the directory of the
// other branches' servers. The user namespace that comes with it also keeps the program from
// looking into other processes of the same user, through whose /proc/PID/root it would see those
// paths again.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "pgctl-wrapper/owner.h"
#include "pgctl-wrapper/unique_fd.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

struct Isolation {
  // A file that the program has open in the host's mount namespace, so that the filesystem it is on
  // is in use there, too, and is not unmounted. Not a directory: that would be a way out.
  std::string pinned_file;
  std::vector<std::string> hidden_dirs;     // absolute; empty there, each before those inside it
  std::vector<std::string> hidden_sockets;  // absolute; cannot be connected to there
  std::vector<std::string> kept_dirs;       // stay, with all in them, though a hidden one has them
};

// Hides /run, /tmp, `run_root`, where all branches' sockets are, and wherever else a socket is open
// now. Directories that do not exist need no keeping.
Isolation PlanIsolation(const std::string& run_root, const std::vector<std::string>& kept_dirs);

// The same of given sockets. A PostgreSQL server that is started again makes its socket anew in the
// same directory, so that is hidden as a whole, unless it is one that programs need; of other
// sockets each alone is. All paths are absolute and without symbolic links.
Isolation PlanIsolationOf(std::vector<std::string> hidden_dirs, std::vector<std::string> kept_dirs,
                          const std::vector<std::string>& sockets);
// The paths of a text like /proc/net/unix that somebody can connect or send to.
std::vector<std::string> OpenSockets(std::string_view unix_table);

// For a child about to exec: puts this process in that place, as `owner`, with no capability left
// and none to be had. The result is the open pinned file. Fails saying which step did; the process
// must then end.
Result<UniqueFd> EnterIsolation(const Isolation& isolation, const Owner& owner);

}  // namespace velafs::pgctl
