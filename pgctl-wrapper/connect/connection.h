// How a client reaches a branch's server, in the forms that clients take.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "pgctl-wrapper/process/process.h"

namespace velafs::pgctl {

struct Connection {
  std::string socket_dir;
  int port = 0;
  std::string user;
  std::string dbname;
  std::string password = {};  // not empty: over TCP, on 127.0.0.1

  bool IsTcp() const { return !password.empty(); }
};

// postgresql://USER@/DB?host=SOCKET_DIR&port=N, or over TCP
// postgresql://USER:PASSWORD@127.0.0.1:N/DB; percent-encoded where clients need it.
std::string Url(const Connection& connection);
// The same for Java, over TCP: jdbc:postgresql://127.0.0.1:N/DB?user=USER&password=PASSWORD.
std::string JdbcUrl(const Connection& connection);

// PGHOST, PGPORT, PGUSER, PGDATABASE and DATABASE_URL; over TCP PGPASSWORD, too.
std::vector<std::pair<std::string, std::string>> ConnectionVariables(const Connection& connection);

// `environment` with those variables, and without others that would direct libpq elsewhere.
Environment WithConnection(Environment environment, const Connection& connection);

// The same as shell commands, to be given to eval.
std::string ShellExports(const Connection& connection);

}  // namespace velafs::pgctl
