// A daemon that a service manager started: what it tells that one, and when.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "velafs/base/status.h"
#include "velafs/os/service_manager.h"

namespace velafs::cli {

// Says that the daemon is ready once its mount answers. From then on shows what it does, and, where
// the manager wants to hear it, that the daemon is alive: that both its mount and its API answer.
class ServiceWatch {
 public:
  struct Daemon {
    std::string mountpoint;
    std::function<Status()> ask_api;      // fails if it does not answer
    std::function<std::string()> status;  // a line for users
  };

  explicit ServiceWatch(const os::ServiceManager& manager) : manager_(manager) {}
  // The mount must have been unmounted, or closed: its answer is waited for.
  ~ServiceWatch() { End(); }

  // Starts a thread, unless there is no manager.
  void Begin(Daemon daemon);
  // After a reload: it is ready again, if it was.
  void Reloaded();
  // What is shown is no longer the daemon's usual state.
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

// While it lives, the manager gives the daemon time: for a recovery, or to stop servers.
class MoreTime {
 public:
  explicit MoreTime(const os::ServiceManager& manager);

 private:
  std::jthread thread_;
};

}  // namespace velafs::cli
