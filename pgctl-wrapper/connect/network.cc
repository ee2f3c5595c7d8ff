#include "pgctl-wrapper/connect/network.h"

#include <array>
#include <utility>

namespace velafs::pgctl {
namespace {

using std::string_view;

constexpr std::array<std::pair<Network, const char*>, 3> kNetworkNames = {{
    {Network::kIsolated, "isolated"},
    {Network::kLoopback, "loopback"},
    {Network::kHost, "host"},
}};

}  // namespace

Result<Network> ParseNetwork(string_view word) {
  for (const auto& [network, name] : kNetworkNames) {
    if (word == name) return network;
  }
  return UsageError("\"" + std::string(word) + "\" is not isolated, loopback or host");
}

const char* NetworkName(Network network) {
  for (const auto& [known, name] : kNetworkNames) {
    if (known == network) return name;
  }
  return "unknown";
}

bool IsIsolated(const std::optional<Network>& network) {
  return network.value_or(Network::kIsolated) != Network::kHost;
}

}  // namespace velafs::pgctl
