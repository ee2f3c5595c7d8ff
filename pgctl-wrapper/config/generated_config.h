// Generates configuration files: postgresql.conf for a branch without one (some distributions keep
// it outside PGDATA), and pg_hba.conf and pg_ident.conf for every branch.
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
