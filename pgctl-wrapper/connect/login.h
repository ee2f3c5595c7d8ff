// Chooses role and database for connections to a branch's server.
#pragma once

#include <string>

#include "pgctl-wrapper/command/commands.h"
#include "pgctl-wrapper/connect/connection.h"
#include "pgctl-wrapper/connect/server_address.h"
#include "pgctl-wrapper/server/session.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// The user's choice; empty fields: no choice.
struct LoginChoice {
  std::string user;
  std::string dbname;
  bool superuser = false;  // the superuser that initdb made, whatever the policies say
  std::string pgbin;       // where psql is, as of ClientProgramFor
  // The branch whose policies hold; empty: the target itself.
  std::string policies_of;
  bool asks_nobody = false;  // values that the files do not give are guessed
};

LoginChoice LoginOf(const Arguments& arguments);

// How to reach the server: as `choice` says, else as the policies default_user and default_database
// do, else as the superuser that initdb made, in database "postgres". To be called as the caller.
Result<Connection> ConnectionFor(Session& session, const Target& target,
                                 const ServerAddress& address, const LoginChoice& choice);

// NotFound, naming those that there are and the option to choose one, if the server has no such
// role or database. The server is asked only if the branch's files do not show them, and has some
// seconds to say so.
Status CheckLogin(const Target& target, const Connection& connection, const std::string& pgbin);

}  // namespace velafs::pgctl
