// What PostgreSQL keeps of a password for the method scram-sha-256: enough to check it, and not
// enough to log in with. No I/O.
#pragma once

#include <string>
#include <string_view>

namespace velafs::pgctl {

// As pg_authid.rolpassword has it: "SCRAM-SHA-256$4096:SALT$STORED_KEY:SERVER_KEY" (RFC 5802).
// `password` is plain ASCII: nothing is normalised. `salt` is any bytes.
std::string ScramVerifier(std::string_view password, std::string_view salt);

}  // namespace velafs::pgctl
