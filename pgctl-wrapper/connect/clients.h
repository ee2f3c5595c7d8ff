// How many clients are connected to a server, as the kernel's tables of sockets have it: no
// connection of our own, no rights in the database, and no process that could answer wrongly.
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

// Of a server in this network namespace or in one of its own, over both. Whoever connects over a
// Unix socket from another namespace than these two is not seen.
size_t CountClients(pid_t server, const ServerAddress& address);

}  // namespace velafs::pgctl
