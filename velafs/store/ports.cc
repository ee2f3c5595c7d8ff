// The port a branch's server listens on.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include "velafs/catalog/catalog.h"
#include "velafs/store/context.h"
#include "velafs/store/govern/access.h"
#include "velafs/store/lookup.h"
#include "velafs/store/rules.h"
#include "velafs/store/server_verbs.h"

namespace velafs::store {
namespace {

using catalog::BranchRow;

constexpr uint16_t kFirstPort = 54320;

constexpr uint16_t kLastPort = 60999;

constexpr uint16_t kPorts = kLastPort - kFirstPort + 1;

// Where the search for a free port begins. A branch that is made again under the same name so gets
// the same port, as a rule: people keep it in their configuration. (32-bit FNV-1a.)
uint16_t PortOfName(const std::string& name) {
  uint32_t hash = 2166136261;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619;
  return static_cast<uint16_t>(kFirstPort + hash % kPorts);
}

// Ports on which no server could listen now, by the kernel's list: a daemon has no sockets of the
// network (os/system_calls.h), to try. A connection keeps a server from its port only if it has the
// server's address, and not once it is closed, for which the kernel keeps an entry for a while.
std::set<uint16_t> PortsInUse() {
  constexpr unsigned kFinWait2 = 5;
  constexpr unsigned kTimeWait = 6;
  constexpr unsigned kListen = 10;
  const std::set<std::string> servers = {"0100007F", "00000000", std::string(32, '0'),
                                         std::string(24, '0') + "01000000"};
  std::set<uint16_t> used;
  for (const char* const path : {"/proc/self/net/tcp", "/proc/self/net/tcp6"}) {
    std::ifstream list(path);
    std::string line;
    std::getline(list, line);  // the columns' names
    while (std::getline(list, line)) {
      char address[33] = "";
      unsigned port = 0;
      unsigned state = 0;
      // number: address:port address:port state, all in hexadecimal
      constexpr char kColumns[] = "%*s %32[0-9A-F]:%x %*[0-9A-F]:%*x %x";
      if (std::sscanf(line.c_str(), kColumns, address, &port, &state) != 3) continue;
      const bool is_closed = state == kFinWait2 || state == kTimeWait;
      const bool is_in_the_way = state == kListen || (!is_closed && servers.contains(address));
      if (is_in_the_way) used.insert(static_cast<uint16_t>(port));
    }
  }
  return used;
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

Result<uint16_t> PickPort(StoreContext& context, const BranchRow& branch,
                          std::optional<uint16_t> wanted) REQUIRES(context.verbs_mutex) {
  std::vector<BranchRow> rows;
  std::set<uint16_t> trashed;    // given to others only when they ask: a branch may come back
  std::optional<uint16_t> last;  // of the branch of that name that was deleted last
  VELAFS_TRY(context.catalog->Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(rows, reader.Branches());
    VELAFS_ASSIGN(const std::vector<BranchRow> deleted, reader.DeletedBranches());
    for (const BranchRow& row : deleted) {
      trashed.insert(row.port.value_or(0));
      if (!last && row.name == branch.name) last = row.port;
    }
    return {};
  }));
  std::map<uint16_t, std::string> taken;
  for (const BranchRow& row : rows) {
    if (row.port && row.id != branch.id) taken[*row.port] = row.name;
  }
  const std::set<uint16_t> in_use = PortsInUse();
  if (wanted) {
    const std::string port = "port " + std::to_string(*wanted);
    if (*wanted == 0) return UsageError(port + " is not a port");
    if (const auto other = taken.find(*wanted); other != taken.end()) {
      return Refused(port + " is kept for branch \"" + other->second + "\"");
    }
    if (in_use.contains(*wanted)) return Refused(port + " is in use on this host");
    return *wanted;
  }
  const auto is_free = [&](uint16_t port) {
    return !taken.contains(port) && !in_use.contains(port);
  };
  if (last && is_free(*last)) return *last;
  const uint16_t first = PortOfName(branch.name);
  for (uint16_t step = 0; step < kPorts; ++step) {
    const auto port = static_cast<uint16_t>(kFirstPort + (first - kFirstPort + step) % kPorts);
    if (is_free(port) && !trashed.contains(port)) return port;
  }
  return Failed("no port from " + std::to_string(kFirstPort) + " to " + std::to_string(kLastPort) +
                " is free");
}

}  // namespace

Result<uint16_t> ServerVerbs::AssignPort(const Caller& caller, const std::string& name,
                                         std::optional<uint16_t> wanted) {
  WriterLock lock(context_.verbs_mutex);
  VELAFS_ASSIGN(BranchRow branch, FindBranch(context_, name));
  VELAFS_TRY(CheckMayChange(caller, branch));
  VELAFS_TRY(MakeServerPlace(context_.storage, context_.paths, branch));
  if (branch.port && (!wanted || *wanted == *branch.port)) return *branch.port;
  const std::string cannot = "cannot assign a port to \"" + name + "\"";
  Result<uint16_t> port = PickPort(context_, branch, wanted);
  if (!port.ok()) return std::move(port).status().WithContext(cannot);
  branch.port = *port;
  VELAFS_TRY(
      context_.WriteDurably([&](catalog::Writer& writer) { return writer.UpdateBranch(branch); })
          .WithContext(cannot));
  return *port;
}

}  // namespace velafs::store
