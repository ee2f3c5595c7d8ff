// notify_receiver SOCKET: a service manager that listens at SOCKET, as $NOTIFY_SOCKET names it, and
// prints each message it is sent as one line: "PID KEY=VALUE;KEY=VALUE". Ends when it is killed.
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>

namespace {

int Listen(const char* path) {
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  std::perror("bind");
  return -1;
}

// Empty when there will be no more.
std::string Receive(int fd) {
  char text[8192];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))];
  iovec piece = {text, sizeof text};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t size = recvmsg(fd, &message, 0);
  if (size < 0) return {};
  ucred sender{};
  const cmsghdr* const credentials = CMSG_FIRSTHDR(&message);
  if (credentials != nullptr) std::memcpy(&sender, CMSG_DATA(credentials), sizeof sender);
  std::string line(text, static_cast<size_t>(size));
  std::replace(line.begin(), line.end(), '\n', ';');
  return std::to_string(sender.pid) + " " + line;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const int fd = Listen(argv[1]);
  if (fd < 0) return 1;
  for (std::string line = Receive(fd); !line.empty(); line = Receive(fd)) {
    std::puts(line.c_str());
    std::fflush(stdout);
  }
}
