// What a service tells the manager that started it: the protocol of sd_notify(3).
#pragma once

#include <chrono>
#include <string>

#include "velafs/os/unique_fd.h"

namespace velafs::os {

// Thread-safe but for FromEnvironment. Telling is best effort, and does nothing where no manager
// listens.
class ServiceManager {
 public:
  // The manager that $NOTIFY_SOCKET and $WATCHDOG_USEC name. Both are unset: a program that this
  // process starts must not speak for it, and PostgreSQL would. To be called while this process has
  // no other thread.
  static ServiceManager FromEnvironment();
  // None.
  ServiceManager() = default;

  bool is_there() const { return socket_.get() >= 0; }
  // How often the manager wants to hear Alive at least; zero if it does not.
  std::chrono::microseconds watchdog() const { return watchdog_; }

  // `status` is a line that is shown to users.
  void Ready(const std::string& status) const;
  void Reloading() const;  // until Ready
  void Stopping(const std::string& status) const;
  void ShowStatus(const std::string& status) const;
  void Alive() const;
  // What is under way takes that long from now, if the manager would end it before.
  void ExtendTimeout(std::chrono::seconds time) const;

 private:
  void Tell(const std::string& lines) const;

  std::string address_;  // as in sun_path
  UniqueFd socket_;
  std::chrono::microseconds watchdog_{0};
};

}  // namespace velafs::os
