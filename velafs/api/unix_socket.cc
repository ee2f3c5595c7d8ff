#include "velafs/api/unix_socket.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace velafs::api {
namespace {

constexpr int kBacklog = 128;
constexpr std::chrono::milliseconds kShortageInterval{10};

// An address holds 107 bytes; a store may lie deeper. Then the socket is named through its
// directory's file descriptor, so `address` is good only while this lives.
struct SocketAddress {
  // Fails with the errno of opening the socket's directory.
  static Result<SocketAddress> Of(const std::string& socket_path);

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }

  sockaddr_un address{};
  os::UniqueFd directory;
};

Result<SocketAddress> SocketAddress::Of(const std::string& socket_path) {
  SocketAddress made;
  made.address.sun_family = AF_UNIX;
  std::string path = socket_path;
  if (path.size() >= sizeof made.address.sun_path) {
    const size_t slash = path.rfind('/');
    const std::string parent = path.substr(0, slash);
    made.directory.Reset(open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!made.directory) return SystemError(errno, "cannot open \"" + parent + "\"");
    path = "/proc/self/fd/" + std::to_string(made.directory.get()) + path.substr(slash);
  }
  path.copy(made.address.sun_path, sizeof made.address.sun_path - 1);
  return made;
}

Result<os::UniqueFd> MakeSocket() {
  os::UniqueFd made(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!made) return SystemError(errno, "cannot make a socket");
  return made;
}

// The shortage may pass soon: other processes free memory and descriptors.
bool IsShortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

Result<os::UniqueFd> ConnectTo(const std::string& path, std::chrono::seconds patience) {
  VELAFS_ASSIGN(const SocketAddress address, SocketAddress::Of(path));
  VELAFS_ASSIGN(os::UniqueFd made, MakeSocket());
  const timeval time{.tv_sec = patience.count(), .tv_usec = 0};
  if (setsockopt(made.get(), SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time) != 0 ||
      connect(made.get(), address.get(), sizeof address.address) != 0) {
    return SystemError(errno, "cannot connect to \"" + path + "\"");
  }
  return made;
}

Status Listener::Bind(const std::string& path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return SystemError(errno, "cannot remove \"" + path + "\"");
  }
  VELAFS_ASSIGN(const SocketAddress address, SocketAddress::Of(path));
  VELAFS_ASSIGN(socket_, MakeSocket());
  if (bind(socket_.get(), address.get(), sizeof address.address) != 0 ||
      listen(socket_.get(), kBacklog) != 0) {
    return SystemError(errno, "cannot listen at \"" + path + "\"");
  }
  return {};
}

void Listener::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Listener::Stop() {
  if (!thread_.joinable()) return;
  shutdown(socket_.get(), SHUT_RDWR);  // accept fails with EINVAL
  thread_.join();
  socket_.Reset();
}

void Listener::Run() {
  while (true) {
    os::UniqueFd connection(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (connection) {
      on_connection_(std::move(connection));
    } else if (errno == EINVAL) {
      return;
    } else if (IsShortage(errno)) {
      std::this_thread::sleep_for(kShortageInterval);
    } else if (errno != EINTR && errno != ECONNABORTED) {
      spdlog::error("the API has failed and takes no more calls: {}", std::strerror(errno));
      return;
    }
  }
}

}  // namespace velafs::api
