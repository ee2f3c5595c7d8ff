// An accepted Unix socket.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "velafs/os/acting_as.h"
#include "velafs/os/unique_fd.h"

namespace velafs::api {

// The user who connected, as the kernel says. Empty if it does not.
std::optional<os::Credentials> PeerOf(int socket);

// One thread.
class Connection {
 public:
  // Gives the peer up if it reads nothing for `timeout_ms`.
  Connection(os::UniqueFd fd, int timeout_ms) : fd_(std::move(fd)), timeout_ms_(timeout_ms) {}

  // The process at the other end; 0 when it is not known.
  uint32_t PeerPid() const;

  // From now on gives the peer up only if it closes the connection, or `patience` is over.
  void SetPatience(std::function<bool()> patience) { patience_ = std::move(patience); }
  // Writes after that moment fail, however fast the peer reads.
  void SetDeadline(std::chrono::steady_clock::time_point deadline) { deadline_ = deadline; }

  // False if the peer has closed the connection, or has shut down its writing side, which asks the
  // verb to stop. After a shutdown, written bytes still arrive.
  bool is_wanted() const;
  // Writes all of it; false if the peer is given up or has gone.
  bool Write(std::string_view bytes);
  // Writes as much as the peer's socket has room for now.
  void WriteWithoutWaiting(std::string_view bytes);
  // Waits for bytes that the peer sends after its request. Returns their number, 0 at the end, or
  // -1 with errno: ETIMEDOUT if nothing came for `patience_ms`.
  ssize_t Receive(std::span<std::byte> into, int patience_ms);

 private:
  os::UniqueFd fd_;
  int timeout_ms_;
  std::function<bool()> patience_;
  std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::time_point::max();
};

}  // namespace velafs::api
