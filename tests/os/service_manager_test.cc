#include "velafs/os/service_manager.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "tests/os/scratch_directory.h"

namespace velafs::os {
namespace {

// A manager that listens at `name`, as in $NOTIFY_SOCKET.
class Listener {
 public:
  explicit Listener(std::string name) : socket_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    setenv("NOTIFY_SOCKET", name.c_str(), 1);
    if (name[0] == '@') name[0] = '\0';
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    REQUIRE(bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0);
  }

  // The next message; empty if there is none.
  std::string Next() {
    char text[4096];
    const ssize_t size = recv(socket_.get(), text, sizeof text, MSG_DONTWAIT);
    return std::string(text, size > 0 ? static_cast<size_t>(size) : 0);
  }

 private:
  UniqueFd socket_;
};

TEST_CASE("a service manager is told by its socket") {
  const test::ScratchDirectory scratch;
  Listener listener(scratch / "notify");
  const ServiceManager manager = ServiceManager::FromEnvironment();
  CHECK(manager.is_there());
  manager.Ready("serves\nbranches");
  CHECK(listener.Next() == "READY=1\nSTATUS=serves branches");
  manager.ShowStatus("busy");
  CHECK(listener.Next() == "STATUS=busy");
  manager.Reloading();
  CHECK(listener.Next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
  manager.Alive();
  CHECK(listener.Next() == "WATCHDOG=1");
  manager.ExtendTimeout(std::chrono::seconds(30));
  CHECK(listener.Next() == "EXTEND_TIMEOUT_USEC=30000000");
  manager.Stopping("stops");
  CHECK(listener.Next() == "STOPPING=1\nSTATUS=stops");
  CHECK(listener.Next().empty());
}

TEST_CASE("a service manager may listen at an abstract socket") {
  Listener listener("@velafs-test-" + std::to_string(getpid()));
  ServiceManager::FromEnvironment().Alive();
  CHECK(listener.Next() == "WATCHDOG=1");
}

TEST_CASE("what a service starts does not know its manager") {
  setenv("NOTIFY_SOCKET", "/nowhere", 1);
  setenv("WATCHDOG_USEC", "3000000", 1);
  setenv("WATCHDOG_PID", std::to_string(getpid()).c_str(), 1);
  CHECK(ServiceManager::FromEnvironment().watchdog() == std::chrono::seconds(3));
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
    CHECK(std::getenv(name) == nullptr);
  }
  CHECK_FALSE(ServiceManager::FromEnvironment().is_there());
}

TEST_CASE("a service whose manager watches another process, or has no socket, is not watched") {
  setenv("NOTIFY_SOCKET", "/nowhere", 1);
  setenv("WATCHDOG_USEC", "3000000", 1);
  setenv("WATCHDOG_PID", "1", 1);
  CHECK(ServiceManager::FromEnvironment().watchdog().count() == 0);
  setenv("NOTIFY_SOCKET", "relative", 1);
  setenv("WATCHDOG_USEC", "3000000", 1);
  const ServiceManager none = ServiceManager::FromEnvironment();
  CHECK_FALSE(none.is_there());
  CHECK(none.watchdog().count() == 0);
  none.Ready("nobody listens");
}

}  // namespace
}  // namespace velafs::os
