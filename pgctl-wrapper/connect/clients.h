// Counts the clients that are connected to a server, by the kernel's tables of sockets: this takes
// no connection, no rights in the database, and no process that could answer wrongly.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "pgctl-wrapper/connect/server_address.h"

namespace velafs::pgctl {

// The connections of the server that listens at `path`, in the text of /proc/net/unix.
size_t CountUnixClients(std::string_view table, std::string_view path);
// Those of the server that listens on `port`, in the text of /proc/net/tcp or tcp6.
size_t CountTcpClients(std::string_view table, uint16_t port);

// For a server in this network namespace or in its own. Counts connections in both; a client that
// connects over a Unix socket from a third namespace is not counted.
size_t CountClients(pid_t server, const ServerAddress& address);

}  // namespace velafs::pgctl
