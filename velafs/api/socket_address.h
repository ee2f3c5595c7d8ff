// A path by which the kernel takes any Unix socket's address.
#pragma once

#include <string>

#include "velafs/base/status.h"
#include "velafs/os/unique_fd.h"

namespace velafs::api {

// An address holds 107 bytes; a store may lie deeper. Then the socket is named through its
// directory's file descriptor, so `path` is good only while this lives.
struct SocketAddress {
  // Fails with the errno of opening the socket's directory.
  static Result<SocketAddress> Of(const std::string& socket_path);

  std::string path;
  os::UniqueFd directory;
};

}  // namespace velafs::api
