// How a client reaches a branch's server, in the forms that clients take.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "pgctl-wrapper/process.h"

namespace velafs::pgctl {

struct Connection {
  std::string socket_dir;
  int port = 0;
  std::string user;
  std::string dbname;
};

// postgresql://USER@/DB?host=SOCKET_DIR&port=N, percent-encoded where libpq needs it.
std::string Url(const Connection& connection);

// PGHOST, PGPORT, PGUSER, PGDATABASE and DATABASE_URL.
std::vector<std::pair<std::string, std::string>> ConnectionVariables(const Connection& connection);

// `environment` with those variables, and without what would take libpq elsewhere in spite of them.
Environment WithConnection(Environment environment, const Connection& connection);

// The same as shell commands, to be given to eval.
std::string ShellExports(const Connection& connection);

}  // namespace velafs::pgctl
