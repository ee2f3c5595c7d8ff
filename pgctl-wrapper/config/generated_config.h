// Configuration files that velapg makes: postgresql.conf for a branch that has none of its own, as
// when its PGDATA comes from a distribution that keeps it elsewhere; those of access for all.
#pragma once

#include <string>
#include <string_view>

namespace velafs::pgctl {

// postgresql.conf with the settings that pg_control records, which a server must not go below to
// replay its WAL. `control_data` is pg_controldata's output in the C locale.
std::string GeneratedServerConfig(std::string_view control_data);
// pg_hba.conf, whatever the branch's own says: everybody over the socket, whose directory only the
// owner enters; passwords over TCP.
std::string GeneratedHba();
// pg_ident.conf, to which those rules do not refer.
std::string GeneratedIdent();

}  // namespace velafs::pgctl
