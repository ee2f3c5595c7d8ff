#include "velafs/os/service_manager.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>

namespace velafs::os {
namespace {

std::string TakeVariable(const char* name) {
  const char* const value = std::getenv(name);
  const std::string text = value == nullptr ? "" : value;
  unsetenv(name);
  return text;
}

int64_t ToNumber(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : 0;
}

// The protocol is made of lines.
std::string OneLine(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

std::string MonotonicMicroseconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::to_string(now.tv_sec * 1'000'000 + now.tv_nsec / 1000);
}

}  // namespace

ServiceManager ServiceManager::FromEnvironment() {
  ServiceManager manager;
  manager.address_ = TakeVariable("NOTIFY_SOCKET");
  const int64_t watchdog = ToNumber(TakeVariable("WATCHDOG_USEC"));
  const std::string watched = TakeVariable("WATCHDOG_PID");
  const bool is_path = manager.address_.starts_with("/") || manager.address_.starts_with("@");
  if (!is_path || manager.address_.size() >= sizeof(sockaddr_un::sun_path)) return manager;
  if (manager.address_[0] == '@') manager.address_[0] = '\0';  // an abstract socket
  manager.socket_ = UniqueFd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  // A manager that hangs must not hang us.
  const timeval patience{.tv_sec = 5, .tv_usec = 0};
  setsockopt(manager.socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  const bool is_ours = watched.empty() || ToNumber(watched) == getpid();
  if (is_ours && watchdog > 0) manager.watchdog_ = std::chrono::microseconds(watchdog);
  return manager;
}

void ServiceManager::Tell(const std::string& lines) const {
  if (!is_there()) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, address_.data(), address_.size());
  const size_t length = offsetof(sockaddr_un, sun_path) + address_.size();
  static_cast<void>(sendto(socket_.get(), lines.data(), lines.size(), MSG_NOSIGNAL,
                           reinterpret_cast<const sockaddr*>(&address),
                           static_cast<socklen_t>(length)));
}

void ServiceManager::Ready(const std::string& status) const {
  Tell("READY=1\nSTATUS=" + OneLine(status));
}

void ServiceManager::Reloading() const {
  Tell("RELOADING=1\nMONOTONIC_USEC=" + MonotonicMicroseconds());
}

void ServiceManager::Stopping(const std::string& status) const {
  Tell("STOPPING=1\nSTATUS=" + OneLine(status));
}

void ServiceManager::ShowStatus(const std::string& status) const {
  Tell("STATUS=" + OneLine(status));
}

void ServiceManager::Alive() const { Tell("WATCHDOG=1"); }

void ServiceManager::ExtendTimeout(std::chrono::seconds time) const {
  Tell("EXTEND_TIMEOUT_USEC=" + std::to_string(std::chrono::microseconds(time).count()));
}

}  // namespace velafs::os
