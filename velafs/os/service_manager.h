// Messages from a service to the manager that started it: the protocol of sd_notify(3).
#pragma once

#include <chrono>
#include <string>

#include "velafs/os/unique_fd.h"

namespace velafs::os {

// Thread-safe but for FromEnvironment. Messages are best effort, and do nothing if no manager
// listens.
class ServiceManager {
 public:
  // The manager that $NOTIFY_SOCKET and $WATCHDOG_USEC name. Unsets both: else a program that this
  // process starts, such as PostgreSQL, would speak for it. To be called while this process has no
  // other thread.
  static ServiceManager FromEnvironment();
  // No manager.
  ServiceManager() = default;

  bool is_there() const { return socket_.get() >= 0; }
  // The longest time between two calls of Alive that the manager accepts; zero if any.
  std::chrono::microseconds watchdog() const { return watchdog_; }

  // `status` is a line for users.
  void Ready(const std::string& status) const;
  void Reloading() const;  // until Ready
  void Stopping(const std::string& status) const;
  void ShowStatus(const std::string& status) const;
  void Alive() const;
  // Asks the manager to wait that long from now for the work under way.
  void ExtendTimeout(std::chrono::seconds time) const;

 private:
  void Tell(const std::string& lines) const;

  std::string address_;  // as in sun_path
  UniqueFd socket_;
  std::chrono::microseconds watchdog_{0};
};

}  // namespace velafs::os
