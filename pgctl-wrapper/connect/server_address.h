// Where a branch's server takes connections: in velapg's own directory for the branch, under the
// port that the store keeps for it. What the branch's files say of that is its owner's to write,
// and would lead whoever believes it to any host.
#pragma once

#include <cstdint>
#include <string>

#include "pgctl-wrapper/process/owner.h"
#include "pgctl-wrapper/server/session.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

struct ServerAddress {
  std::string socket_dir;
  uint16_t port = 0;
};

// Fails when velapg has never started a server on the branch. Refused when the directory is not
// `owner`'s alone.
Result<ServerAddress> AddressOf(const Session& session, const Branch& branch, const Owner& owner);

}  // namespace velafs::pgctl
