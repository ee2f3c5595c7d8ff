#include "velafs/cli/service_watch.h"

#include <spdlog/spdlog.h>
#include <sys/statfs.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

namespace velafs::cli {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

// How old a status that is shown may become.
constexpr seconds kStatusInterval{15};

Status AskMount(const std::string& mountpoint) {
  struct statfs info {};
  if (statfs(mountpoint.c_str(), &info) == 0) return {};
  return SystemError(errno, "the mount at \"" + mountpoint + "\" does not answer");
}

}  // namespace

void ServiceWatch::Start(Daemon daemon) {
  if (!manager_.is_there()) return;
  daemon_ = std::move(daemon);
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void ServiceWatch::Run(const std::stop_token& stop) {
  // Waits until the daemon serves it.
  const Status mounted = AskMount(daemon_.mountpoint);
  if (!mounted.ok()) return spdlog::error("{}", mounted.message());
  // A store whose path is too long for a socket's cannot be asked by its own daemon.
  asks_api_ = daemon_.ask_api().ok();
  const microseconds watchdog = manager_.watchdog();
  const microseconds interval = watchdog.count() > 0
                                    ? std::min<microseconds>(watchdog / 2, kStatusInterval)
                                    : microseconds(kStatusInterval);
  {
    const std::lock_guard lock(mutex_);
    shown_ = daemon_.status();
    is_ready_ = true;
    if (!is_stopping_) manager_.Ready(shown_);
  }
  while (!stop.stop_requested()) {
    if (IsAlive() && watchdog.count() > 0) manager_.Alive();
    std::string status = daemon_.status();
    std::unique_lock lock(mutex_);
    if (!is_stopping_ && status != shown_) {
      shown_ = std::move(status);
      manager_.ShowStatus(shown_);
    }
    wake_.wait_for(lock, stop, interval, [] { return false; });
  }
}

bool ServiceWatch::IsAlive() {
  Status asked = AskMount(daemon_.mountpoint);
  if (asked.ok() && asks_api_) asked = daemon_.ask_api();
  if (!asked.ok() && was_alive_) spdlog::error("the watchdog is not told: {}", asked.message());
  was_alive_ = asked.ok();
  return was_alive_;
}

void ServiceWatch::Reloaded() {
  const std::lock_guard lock(mutex_);
  if (is_ready_ && !is_stopping_) manager_.Ready(shown_);
}

void ServiceWatch::Stopping(const std::string& status) {
  const std::lock_guard lock(mutex_);
  is_stopping_ = true;
  manager_.Stopping(status);
}

void ServiceWatch::End() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

MoreTime::MoreTime(const os::ServiceManager& manager) {
  if (!manager.is_there()) return;
  thread_ = std::jthread([&manager](const std::stop_token& stop) {
    constexpr seconds kInterval{10};
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    while (!stop.stop_requested()) {
      manager.ExtendTimeout(3 * kInterval);
      wake.wait_for(lock, stop, kInterval, [] { return false; });
    }
  });
}

}  // namespace velafs::cli
