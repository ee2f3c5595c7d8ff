// The address of a branch's server: velapg's own directory for the branch, and the port that the
// store keeps for it. The branch's files are not trusted for this: their owner could name any host
// there.
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
