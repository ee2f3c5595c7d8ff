// An accepted Unix socket as httplib sees a connection.
#pragma once

#include <httplib.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "velafs/os/acting_as.h"
#include "velafs/os/unique_fd.h"

namespace velafs::api {

// The user at the other end when it connected, from the kernel. Empty when it does not say.
std::optional<os::Credentials> PeerOf(int socket);

// One thread.
class Connection : public httplib::Stream {
 public:
  // Reads `received`, and then its end: nothing is waited for. A peer that takes nothing for
  // `timeout_ms` is given up.
  Connection(os::UniqueFd fd, std::string received, int timeout_ms)
      : fd_(std::move(fd)), received_(std::move(received)), timeout_ms_(timeout_ms) {}

  // The process at the other end; 0 when it is not known.
  uint32_t PeerPid() const;

  // From now on the peer is given up only when it goes away, or `patience` says so.
  void SetPatience(std::function<bool()> patience) { patience_ = std::move(patience); }
  // And, however much of it the peer takes, what is written after that moment fails.
  void SetDeadline(std::chrono::steady_clock::time_point deadline) { deadline_ = deadline; }

  bool is_readable() const override;
  // False once the peer has gone or shut down its writing side, which is how it asks to stop. What
  // is written after the latter still arrives.
  bool is_writable() const override;
  ssize_t read(char* into, size_t size) override;
  ssize_t write(const char* data, size_t size) override;
  // Waits for some of what the peer sends behind its request: how much; 0 once it sends no more,
  // and -1 with errno. ETIMEDOUT after `patience_ms` of nothing.
  ssize_t Receive(std::span<std::byte> into, int patience_ms);
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return fd_.get(); }

 private:
  const os::UniqueFd fd_;
  const std::string received_;
  const int timeout_ms_;
  std::function<bool()> patience_;
  std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::time_point::max();
  size_t begin_ = 0;  // of what is not read yet
};

}  // namespace velafs::api
