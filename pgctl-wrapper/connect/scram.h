// The verifier that PostgreSQL stores for a password (scram-sha-256): enough to check the password,
// not enough to log in. No I/O.
#pragma once

#include <string>
#include <string_view>

namespace velafs::pgctl {

// In the form of pg_authid.rolpassword: "SCRAM-SHA-256$4096:SALT$STORED_KEY:SERVER_KEY" (RFC 5802).
// `password` is plain ASCII: nothing is normalised. `salt` is any bytes.
std::string ScramVerifier(std::string_view password, std::string_view salt);

}  // namespace velafs::pgctl
