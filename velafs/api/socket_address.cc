#include "velafs/api/socket_address.h"

#include <fcntl.h>
#include <sys/un.h>

#include <cerrno>

namespace velafs::api {

Result<SocketAddress> SocketAddress::Of(const std::string& socket_path) {
  if (socket_path.size() < sizeof(sockaddr_un::sun_path)) return SocketAddress{socket_path, {}};
  const size_t slash = socket_path.rfind('/');
  const std::string parent = socket_path.substr(0, slash);
  os::UniqueFd directory(open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return SystemError(errno, "cannot open \"" + parent + "\"");
  std::string path = "/proc/self/fd/" + std::to_string(directory.get()) + socket_path.substr(slash);
  return SocketAddress{std::move(path), std::move(directory)};
}

}  // namespace velafs::api
