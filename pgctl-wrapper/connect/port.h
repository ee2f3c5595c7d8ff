// TCP ports on this host's own addresses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pgctl-wrapper/server/session.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// True when nobody listens on it at 127.0.0.1 or ::1.
bool IsPortFree(uint16_t port);

// The port for the branch's server. Refused if `wanted` is taken. If another program has taken the
// port kept for the branch, another port is found and kept instead, with a warning.
Result<uint16_t> ChoosePort(Session& session, const std::string& branch,
                            std::optional<uint16_t> wanted, std::vector<std::string>* warnings);

}  // namespace velafs::pgctl
