// Whose a throw-away clone is shown to be: its server runs as that user, and with it all that
// others wrote into the source.
#pragma once

#include <optional>
#include <string>

#include "pgctl-wrapper/server/session.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// A user who owns nothing else, if the machine has one.
inline constexpr char kServiceUser[] = "velafs";

// The argument `as_user` of verb "clone" for a clone of `source`, a branch or a bookmark; nothing
// if the clone is to be shown like its source. `wanted` (--as-user) comes first. A source that is
// shown as one user's is cloned as that user's. Otherwise root's clones belong to the user of
// policy inspect_user, else to kServiceUser, so that no server that root starts to look into a
// branch runs as the user who owns production.
Result<std::optional<std::string>> UserOfClone(Session& session, const std::string& source,
                                               const std::string& wanted);

}  // namespace velafs::pgctl
