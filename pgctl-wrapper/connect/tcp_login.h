// Logins to a branch's server over TCP, with a password that velapg makes at each start from the
// kernel's random bytes. While the server is stopped, another program may listen at its port and
// receive the password of clients with an old URL: by then it is useless. The password is kept
// until the server is stopped, in STORE/run/<id>/tcp-login.json, which only the branch's user can
// read. It is in no argument, log or audit entry; the server gets only its SCRAM verifier, in the
// branch's own pg_authid: the one change that velapg makes to roles.
//
// Call everything here while acting as the branch's user.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pgctl-wrapper/server/run_dir.h"
#include "pgctl-wrapper/server/server_command.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

struct TcpLogin {
  std::string password;
  std::string role;  // who logs in with it

  bool operator==(const TcpLogin&) const = default;
};

// Empty if the text is no login.
std::optional<TcpLogin> ParseTcpLogin(std::string_view text);
std::string FormatTcpLogin(const TcpLogin& login);

// Empty if velapg has made none, or the file holds no login.
std::optional<TcpLogin> ReadTcpLogin(const RunDir& run_dir);
Status ClearTcpLogin(const RunDir& run_dir);
// Removes the login of a server that has ended, unless a newer start has made another.
Status ForgetTcpLogin(const RunDir& run_dir, const std::optional<TcpLogin>& login);

// No two are the same.
std::string NewPassword();
// The verifier of a password, as pg_authid has it.
std::string NewVerifier(const std::string& password);

// A server that has just started, and the role that may log in.
struct TcpServer {
  const ServerHome& home;  // as the two others, borrowed
  const RunDir& run_dir;
  const std::string& branch;
  uint16_t port = 0;
  std::string superuser;
  std::string role;
};

// Sets a new password for the role, removes those that velapg has set for other roles, and returns
// the new one. Refused if the role may not log in, NotFound if there is no such role.
Result<std::string> AdmitOverTcp(const TcpServer& server);

}  // namespace velafs::pgctl
