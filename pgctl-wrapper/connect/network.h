// The network that a branch's server has.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "velafs/base/status.h"

namespace velafs::pgctl {

// In the order of how far they reach.
enum class Network : uint8_t {
  kIsolated,  // a network of its own, and no TCP: its Unix socket is the only way in, and none is
              // out
  kLoopback,  // the same, with a localhost of its own, for processes that it starts
  kHost,      // the host's network
};

// The words of policy "network": "isolated", "loopback" or "host"; usage for any other.
Result<Network> ParseNetwork(std::string_view word);
const char* NetworkName(Network network);

// True if a server started so is kept from the network: the default.
bool IsIsolated(const std::optional<Network>& network);

}  // namespace velafs::pgctl
