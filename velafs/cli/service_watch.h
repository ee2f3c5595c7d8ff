// Tells the service manager that started a daemon how the daemon is.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "velafs/base/status.h"
#include "velafs/os/service_manager.h"

namespace velafs::cli {

// Reports the daemon as ready once its mount answers. Then shows its state and, if the manager asks
// for it, reports that the daemon is alive: that both its mount and its API answer.
class ServiceWatch {
 public:
  struct Daemon {
    std::string mountpoint;
    std::function<Status()> ask_api;      // fails if it does not answer
    std::function<std::string()> status;  // a line for users
  };

  explicit ServiceWatch(const os::ServiceManager& manager) : manager_(manager) {}
  // Unmount or close the mount first: this waits for its answer.
  ~ServiceWatch() { End(); }

  // Starts a thread, unless there is no manager.
  void Start(Daemon daemon);
  // After a reload: it is ready again, if it was.
  void Reloaded();
  // Shows a state other than the daemon's usual one.
  void Stopping(const std::string& status);

 private:
  void Run(const std::stop_token& stop);
  bool IsAlive();
  void End();

  const os::ServiceManager& manager_;
  Daemon daemon_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  // Guarded by mutex_.
  bool is_ready_ = false;
  bool is_stopping_ = false;
  std::string shown_;
  // Of the thread.
  bool asks_api_ = false;
  bool was_alive_ = true;
  std::jthread thread_;
};

// While it lives, it asks the manager for more time: for a recovery, or to stop servers.
class MoreTime {
 public:
  explicit MoreTime(const os::ServiceManager& manager);

 private:
  std::jthread thread_;
};

}  // namespace velafs::cli
