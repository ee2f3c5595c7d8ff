// How somebody logs in to a branch's server over TCP: with a password that velapg makes for the
// branch, once, from the kernel's random bytes. It is kept in STORE/run/<id>/tcp-login.json, which
// only the branch's user reads, and is in no argument, log or audit entry; the server itself gets
// what scram-sha-256 checks it by. That goes into the branch's own pg_authid: it is the one change
// that velapg makes to a role.
//
// Everything here is to be called while acting as the branch's user.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pgctl-wrapper/run_dir.h"
#include "pgctl-wrapper/server_command.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

struct TcpLogin {
  std::string password;
  std::string verifier;            // of the password, as pg_authid has it
  uint64_t instance = 0;           // the life of the branch in which the roles got it
  std::vector<std::string> roles;  // who log in with it

  bool IsOf(std::string_view role) const;
};

// Nothing when the text is not one.
std::optional<TcpLogin> ParseTcpLogin(std::string_view text);
std::string FormatTcpLogin(const TcpLogin& login);

// Nothing when velapg has made none, or what is there is not one.
std::optional<TcpLogin> ReadTcpLogin(const RunDir& run_dir);

// A server that has just been started, and who is to log in to it.
struct TcpServer {
  const ServerHome& home;  // as the two others, borrowed
  const RunDir& run_dir;
  const std::string& branch;
  uint64_t instance = 0;
  uint16_t port = 0;
  std::string superuser;
  std::string role;
};

struct Admitted {
  std::string password;
  bool is_new = false;  // the role had another, or none
};

// Has the role log in with the branch's password, which is made first if need be. Refused when the
// role may not log in, NotFound when there is none.
Result<Admitted> AdmitOverTcp(const TcpServer& server);

}  // namespace velafs::pgctl
