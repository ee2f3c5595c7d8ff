#include "pgctl-wrapper/connect/port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "pgctl-wrapper/process/unique_fd.h"

namespace velafs::pgctl {
namespace {

constexpr int kMostPortsTried = 200;

// Whether a server could not bind here. With SO_REUSEADDR, as PostgreSQL binds, closed connections
// that linger do not count.
bool IsTaken(const sockaddr* address, socklen_t length) {
  const UniqueFd socket_fd(socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket_fd) return false;  // the host has no such addresses
  const int on = 1;
  setsockopt(socket_fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  return bind(socket_fd.get(), address, length) != 0 && errno == EADDRINUSE;
}

}  // namespace

bool IsPortFree(uint16_t port) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  v6.sin6_addr = in6addr_loopback;
  return !IsTaken(reinterpret_cast<const sockaddr*>(&v4), sizeof v4) &&
         !IsTaken(reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
}

Result<uint16_t> ChoosePort(Session& session, const std::string& branch,
                            std::optional<uint16_t> wanted, std::vector<std::string>* warnings) {
  if (wanted) {
    if (IsPortFree(*wanted)) return session.AssignPort(branch, wanted);
    return Refused("port " + std::to_string(*wanted) + " is taken by another program",
                   "leave --port out to have a free one chosen");
  }
  VELAFS_ASSIGN(const uint16_t kept, session.AssignPort(branch, std::nullopt));
  if (IsPortFree(kept)) return kept;
  for (int next = kept + 1; next <= UINT16_MAX && next <= kept + kMostPortsTried; ++next) {
    const auto candidate = static_cast<uint16_t>(next);
    if (!IsPortFree(candidate)) continue;
    Result<uint16_t> assigned = session.AssignPort(branch, candidate);
    if (assigned.ok()) {
      warnings->push_back("port " + std::to_string(kept) + " of branch \"" + branch +
                          "\" is taken by another program: its port is " +
                          std::to_string(candidate) + " from now on");
    }
    if (assigned.ok() || assigned.status().code() != Code::kRefused) return assigned;
  }
  return Failed("port " + std::to_string(kept) + " of branch \"" + branch +
                    "\" is taken by another program, and so are those after it",
                "choose a port with --port");
}

}  // namespace velafs::pgctl
