#include "velafs/api/connection.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace velafs::api {
namespace {

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

bool Connection::PeerUid(uint32_t* uid) const {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(fd_.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  *uid = peer.uid;
  return true;
}

bool Connection::is_readable() const {
  return begin_ < end_ || Wait(fd_.get(), POLLIN, timeout_ms_) != 0;
}

bool Connection::is_writable() const {
  return (Wait(fd_.get(), POLLRDHUP, 0) & (POLLRDHUP | POLLHUP | POLLERR)) == 0;
}

ssize_t Connection::read(char* into, size_t size) {
  if (begin_ == end_) {
    if (!is_readable()) return -1;
    const ssize_t received = recv(fd_.get(), buffer_.data(), buffer_.size(), 0);
    if (received <= 0) return received;
    begin_ = 0;
    end_ = static_cast<size_t>(received);
  }
  const size_t taken = std::min(size, end_ - begin_);
  std::memcpy(into, buffer_.data() + begin_, taken);
  begin_ += taken;
  return static_cast<ssize_t>(taken);
}

ssize_t Connection::write(const char* data, size_t size) {
  if ((Wait(fd_.get(), POLLOUT, timeout_ms_) & POLLOUT) == 0) return -1;
  return send(fd_.get(), data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Connection::get_remote_ip_and_port(std::string& ip, int& port) const {
  ip = "unix";
  port = 0;
}

void Connection::get_local_ip_and_port(std::string& ip, int& port) const {
  get_remote_ip_and_port(ip, port);
}

}  // namespace velafs::api
