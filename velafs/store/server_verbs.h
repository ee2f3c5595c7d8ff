// The verbs on the servers of branches, and on their ports and places.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/store/caller.h"
#include "velafs/store/server_registry.h"

namespace velafs::store {

struct StoreContext;

// The life that a branch is in, and a process of the server that runs on it now.
struct BranchServer {
  InstanceId instance;
  std::optional<ServerRegistry::Process> process;
};

struct ServersToStart {
  std::vector<std::string> surely;
  std::vector<std::string> if_marked;  // those whose branch has a postmaster.pid: they were cut off
};

// Thread-safe.
class ServerVerbs {
 public:
  explicit ServerVerbs(StoreContext& context) : context_(context) {}

  // Counts nothing: cheaper than BranchVerbs::Show.
  Result<BranchServer> On(const std::string& name);
  // Refused, naming the branches, while a server runs on any.
  Status CheckNoServers();
  // Ends all servers by a fast shutdown, and after `patience` by an immediate one. Notes which ran.
  // One that does not end is still there on return, and is in the log.
  Status StopAll(std::chrono::seconds patience);
  // The servers that policy autostart starts with the daemon. Forgets the servers that StopAll
  // noted.
  Result<ServersToStart> TakeServersToStart();

  // The port kept for the branch's server: `wanted` when given, else the one kept before, else a
  // free one. Refused if `wanted` is another branch's or in use. Durable on return.
  Result<uint16_t> AssignPort(const Caller& caller, const std::string& name,
                              std::optional<uint16_t> wanted);
  // The directory of the caller's pools (pgctl-wrapper/pool/pool_dir.h). Made, and given to him,
  // where he may make nothing in the store. Refused where this process could not give it to him.
  Result<std::string> PoolPlace(const Caller& caller);

 private:
  StoreContext& context_;
};

}  // namespace velafs::store
