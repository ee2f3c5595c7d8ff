// An accepted Unix socket as httplib sees a connection.
#pragma once

#include <httplib.h>

#include <array>
#include <cstdint>
#include <string>

#include "velafs/os/unique_fd.h"

namespace velafs::api {

// One thread.
class Connection : public httplib::Stream {
 public:
  // A peer that neither sends nor takes anything for `timeout_ms` is given up.
  Connection(os::UniqueFd fd, int timeout_ms) : fd_(std::move(fd)), timeout_ms_(timeout_ms) {}

  // The user at the other end when it connected, from the kernel. False when it does not say.
  bool PeerUid(uint32_t* uid) const;

  bool is_readable() const override;
  // False once the peer has gone or shut down its writing side, which is how it asks to stop. What
  // is written after the latter still arrives.
  bool is_writable() const override;
  ssize_t read(char* into, size_t size) override;
  ssize_t write(const char* data, size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return fd_.get(); }

 private:
  os::UniqueFd fd_;
  int timeout_ms_;
  // httplib reads header lines byte by byte.
  std::array<char, 4096> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace velafs::api
