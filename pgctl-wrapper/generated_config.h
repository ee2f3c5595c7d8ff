// Configuration files for a branch that has none of its own, as when its PGDATA comes from a
// distribution that keeps them elsewhere.
#pragma once

#include <string>
#include <string_view>

namespace velafs::pgctl {

// postgresql.conf with the settings that pg_control records, which a server must not go below to
// replay its WAL. `control_data` is pg_controldata's output in the C locale.
std::string GeneratedServerConfig(std::string_view control_data);
// pg_hba.conf: everybody over the socket, whose directory only the owner enters; passwords over
// TCP.
std::string GeneratedHba();
// Of a server that listens to TCP: the branch's own rules for its Unix socket, and for TCP
// passwords whatever the branch says. What the file includes is left out.
std::string HbaForTcp(std::string_view own);
std::string GeneratedIdent();

}  // namespace velafs::pgctl
