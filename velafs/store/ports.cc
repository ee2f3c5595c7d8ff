// The port a branch's server listens on.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <set>

#include "velafs/os/unique_fd.h"
#include "velafs/store/store.h"

namespace velafs::store {
namespace {

using catalog::BranchRow;

constexpr uint16_t kFirstPort = 54320;
constexpr uint16_t kLastPort = 60999;

// True when a server could listen on the port of 127.0.0.1 now.
bool IsFree(uint16_t port) {
  const os::UniqueFd probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!probe) return false;
  const int on = 1;  // as PostgreSQL does; else connections just closed would make it look taken
  setsockopt(probe.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return bind(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

// Where the branch's server will have its socket and log. A user who starts it may make nothing in
// the store, and elsewhere somebody else could have made it first.
Status MakeServerPlace(os::Storage& storage, const StorePaths& paths, const BranchRow& branch) {
  if (geteuid() != 0 || !branch.shown_as) return {};
  const std::string place = paths.Run() + "/" + std::to_string(branch.id.value);
  const Status made = storage.MakeDirectory(place, 0700);
  if (made.error_number() == EEXIST) return {};
  VELAFS_TRY(made);
  if (lchown(place.c_str(), branch.shown_as->uid, branch.shown_as->gid) == 0) return {};
  return SystemError(errno, "cannot give \"" + place + "\" to its user");
}

}  // namespace

Result<uint16_t> Store::AssignPort(const Caller& caller, const std::string& name,
                                   std::optional<uint16_t> wanted) {
  MutexLock lock(verbs_mutex_);
  VELAFS_ASSIGN(BranchRow branch, FindBranch(name));
  VELAFS_TRY(CheckMayChange(caller, branch));
  VELAFS_TRY(MakeServerPlace(storage_, paths_, branch));
  if (branch.port && (!wanted || *wanted == *branch.port)) return *branch.port;
  const std::string context = "cannot assign a port to \"" + name + "\"";
  Result<uint16_t> port = PickPort(branch, wanted);
  if (!port.ok()) return std::move(port).status().WithContext(context);
  branch.port = *port;
  VELAFS_TRY(WriteDurably([&](catalog::Writer& writer) {
               return writer.UpdateBranch(branch);
             }).WithContext(context));
  return *port;
}

Result<uint16_t> Store::PickPort(const BranchRow& branch, std::optional<uint16_t> wanted) {
  std::vector<BranchRow> rows;
  std::set<uint16_t> trashed;  // given to others only when they ask: a branch may come back
  VELAFS_TRY(catalog_->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(rows, reader.Branches());
    VELAFS_ASSIGN(const std::vector<BranchRow> deleted, reader.DeletedBranches());
    for (const BranchRow& row : deleted) trashed.insert(row.port.value_or(0));
    return {};
  }));
  std::map<uint16_t, std::string> taken;
  for (const BranchRow& row : rows) {
    if (row.port && row.id != branch.id) taken[*row.port] = row.name;
  }
  if (wanted) {
    const std::string port = "port " + std::to_string(*wanted);
    if (*wanted == 0) return UsageError(port + " is not a port");
    if (const auto other = taken.find(*wanted); other != taken.end()) {
      return Refused(port + " is kept for branch \"" + other->second + "\"");
    }
    if (!IsFree(*wanted)) return Refused(port + " is in use on this host");
    return *wanted;
  }
  for (uint16_t port = kFirstPort; port <= kLastPort; ++port) {
    if (!taken.contains(port) && !trashed.contains(port) && IsFree(port)) return port;
  }
  return Failed("no port from " + std::to_string(kFirstPort) + " to " + std::to_string(kLastPort) +
                " is free");
}

}  // namespace velafs::store
