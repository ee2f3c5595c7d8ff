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

// The user at the other end when it connected, from the kernel. Empty when it does not say.
std::optional<os::Credentials> PeerOf(int socket);

// One thread.
class Connection {
 public:
  // A peer that takes nothing for `timeout_ms` is given up.
  Connection(os::UniqueFd fd, int timeout_ms) : fd_(std::move(fd)), timeout_ms_(timeout_ms) {}

  // The process at the other end; 0 when it is not known.
  uint32_t PeerPid() const;

  // From now on the peer is given up only when it goes away, or `patience` says so.
  void SetPatience(std::function<bool()> patience) { patience_ = std::move(patience); }
  // And, however much of it the peer takes, what is written after that moment fails.
  void SetDeadline(std::chrono::steady_clock::time_point deadline) { deadline_ = deadline; }

  // False once the peer has gone or shut down its writing side, which is how it asks to stop. What
  // is written after the latter still arrives.
  bool is_wanted() const;
  // All of it; false when the peer is given up or has gone.
  bool Write(std::string_view bytes);
  // As much as the peer's socket has room for now.
  void WriteWithoutWaiting(std::string_view bytes);
  // Waits for some of what the peer sends behind its request: how much; 0 once it sends no more,
  // and -1 with errno. ETIMEDOUT after `patience_ms` of nothing.
  ssize_t Receive(std::span<std::byte> into, int patience_ms);

 private:
  os::UniqueFd fd_;
  int timeout_ms_;
  std::function<bool()> patience_;
  std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::time_point::max();
};

}  // namespace velafs::api
