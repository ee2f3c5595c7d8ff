#include "velafs/api/connection.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

namespace velafs::api {
namespace {

constexpr int kPatienceIntervalMs = 200;

// The events that have come within the time; 0 when none has.
short Wait(int fd, short events, int timeout_ms) {
  pollfd poll_fd{fd, events, 0};
  int ready = 0;
  do {
    ready = poll(&poll_fd, 1, timeout_ms);
  } while (ready < 0 && errno == EINTR);
  return ready > 0 ? poll_fd.revents : short{0};
}

}  // namespace

std::optional<os::Credentials> PeerOf(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return {};
  os::Credentials user{peer.uid, peer.gid, {}};
  size = 0;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, nullptr, &size) != 0 && errno != ERANGE) {
    return {};
  }
  user.groups.resize(size / sizeof(gid_t));
  if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, user.groups.data(), &size) != 0) return {};
  return user;
}

uint32_t Connection::PeerPid() const {
  ucred peer{};
  socklen_t size = sizeof peer;
  const bool known = getsockopt(fd_.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
  return known && peer.pid > 0 ? static_cast<uint32_t>(peer.pid) : 0;
}

bool Connection::is_wanted() const {
  return (Wait(fd_.get(), POLLRDHUP, 0) & (POLLRDHUP | POLLHUP | POLLERR)) == 0;
}

bool Connection::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    if (std::chrono::steady_clock::now() > deadline_) return false;
    short ready = Wait(fd_.get(), POLLOUT, timeout_ms_);
    while (ready == 0 && patience_ && patience_()) {
      ready = Wait(fd_.get(), POLLOUT, kPatienceIntervalMs);
    }
    if ((ready & POLLOUT) == 0) return false;
    const ssize_t sent = send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
    if (sent > 0) bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

void Connection::WriteWithoutWaiting(std::string_view bytes) {
  (void)send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

ssize_t Connection::Receive(std::span<std::byte> into, int patience_ms) {
  for (int waited_ms = 0; waited_ms < patience_ms; waited_ms += kPatienceIntervalMs) {
    if (Wait(fd_.get(), POLLIN, kPatienceIntervalMs) != 0) {
      return recv(fd_.get(), into.data(), into.size(), MSG_DONTWAIT);
    }
    if (patience_ && !patience_()) break;
  }
  errno = ETIMEDOUT;
  return -1;
}

}  // namespace velafs::api
