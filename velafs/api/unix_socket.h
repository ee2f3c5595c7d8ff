// Unix sockets, at a path of any length.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "velafs/base/status.h"
#include "velafs/os/unique_fd.h"

namespace velafs::api {

// Fails with the system call's errno. Neither connecting nor sending waits longer than `patience`.
Result<os::UniqueFd> ConnectTo(const std::string& path, std::chrono::seconds patience);

// Accepts connections, on a thread of its own. Externally synchronised.
class Listener {
 public:
  using OnConnection = std::function<void(os::UniqueFd)>;

  // `on_connection` must not throw.
  explicit Listener(OnConnection on_connection) : on_connection_(std::move(on_connection)) {}
  ~Listener() { Stop(); }

  // Replaces a file at `path`. From then on connections wait. Fails with the system call's errno.
  Status Bind(const std::string& path);
  void Start();
  // The socket's name stays. Nothing is called any more on return.
  void Stop();

 private:
  void Run();

  const OnConnection on_connection_;
  os::UniqueFd socket_;
  std::thread thread_;
};

}  // namespace velafs::api
