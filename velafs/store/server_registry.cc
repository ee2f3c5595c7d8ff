#include "velafs/store/server_registry.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <string>
#include <utility>

namespace velafs::store {
namespace {

// A server's backend works in its data directory and runs its program, in whatever namespaces.
std::optional<pid_t> FindBackend(const FileIdentity& program, const FileIdentity& directory) {
  std::optional<pid_t> found;
  ForEachProcess([&](pid_t pid) {
    if (found || IdentityOf(pid, "cwd") != directory || IdentityOf(pid, "exe") != program) return;
    const auto process = ProcessHandle::Open(pid);
    if (process.ok() && process->IsAlive()) found = pid;
  });
  return found;
}

// PostgreSQL never runs as root: a process of root's is something else that made such a file.
bool IsOfRoot(const ProcessHandle& process) { return UserOf(process.pid()).value_or(0) == 0; }

void SignalAll(const std::vector<ProcessHandle>& processes, int number) {
  for (const ProcessHandle& process : processes) {
    const Status sent = process.Signal(number);
    if (!sent.ok()) spdlog::warn("{}", sent.message());
  }
}

// Forgets those that end in time.
void WaitForEnds(std::vector<ProcessHandle>* processes, std::chrono::seconds time) {
  const auto deadline = std::chrono::steady_clock::now() + time;
  std::erase_if(*processes,
                [deadline](const ProcessHandle& process) { return process.WaitForEnd(deadline); });
}

Status Busy(pid_t pid) {
  return {Code::kRefused, EBUSY, "a server runs there, process " + std::to_string(pid)};
}

}  // namespace

std::optional<ServerRegistry::Process> ServerRegistry::LiveProcess(const ServerPlace& place) {
  const auto found = servers_.find(place);
  if (found == servers_.end()) return {};
  const Server& server = found->second;
  if (server.postmaster.IsAlive()) return Process{place.instance, server.postmaster.pid(), true};
  if (server.program && server.directory) {
    const auto backend = FindBackend(*server.program, *server.directory);
    if (backend) return Process{place.instance, *backend, false};
  }
  servers_.erase(found);
  return {};
}

Status ServerRegistry::Claim(const ServerPlace& place, uint64_t shown_ino, pid_t process) {
  Result<ProcessHandle> postmaster = ProcessHandle::Open(process);
  if (postmaster.status().error_number() == ESRCH) return Errno(EPERM);
  VELAFS_TRY(postmaster.status());
  const pid_t pid = postmaster->pid();
  const std::optional<FileIdentity> directory = IdentityOf(pid, "cwd");
  MutexLock lock(mutex_);
  const std::optional<Process> live = LiveProcessOf(place.instance);
  if (live && live->pid != pid) return Busy(live->pid);
  if (directory && directory->ino != shown_ino) return {};
  servers_.insert_or_assign(place,
                            Server{*std::move(postmaster), IdentityOf(pid, "exe"), directory});
  return {};
}

void ServerRegistry::Release(const ServerPlace& place, pid_t process) {
  MutexLock lock(mutex_);
  const auto found = servers_.find(place);
  if (found == servers_.end()) return;
  if (found->second.postmaster.pid() == ProcessOf(process)) servers_.erase(found);
}

Status ServerRegistry::CheckMayRemove(const ServerPlace& place, pid_t process) {
  MutexLock lock(mutex_);
  const std::optional<Process> live = LiveProcess(place);
  return live && live->pid != ProcessOf(process) ? Busy(live->pid) : Status();
}

std::optional<ServerRegistry::Process> ServerRegistry::On(InstanceId instance) {
  MutexLock lock(mutex_);
  return LiveProcessOf(instance);
}

std::optional<ServerRegistry::Process> ServerRegistry::LiveProcessOf(InstanceId instance) {
  for (auto next = servers_.lower_bound({instance, InodeNumber()});
       next != servers_.end() && next->first.instance == instance;) {
    const ServerPlace place = next++->first;  // LiveProcess may remove it
    if (const auto live = LiveProcess(place)) return live;
  }
  return {};
}

std::optional<ServerRegistry::Process> ServerRegistry::Any() {
  MutexLock lock(mutex_);
  for (auto next = servers_.begin(); next != servers_.end();) {
    const ServerPlace place = next++->first;
    if (const auto live = LiveProcess(place)) return live;
  }
  return {};
}

std::vector<InstanceId> ServerRegistry::Lives() {
  MutexLock lock(mutex_);
  std::vector<InstanceId> lives;
  for (auto next = servers_.begin(); next != servers_.end();) {
    const ServerPlace place = next++->first;
    const bool is_known = !lives.empty() && lives.back() == place.instance;
    if (!is_known && LiveProcess(place)) lives.push_back(place.instance);
  }
  return lives;
}

std::vector<ProcessHandle> ServerRegistry::PostmastersOf(const std::vector<InstanceId>& lives) {
  MutexLock lock(mutex_);
  std::vector<ProcessHandle> found;
  for (const auto& [place, server] : servers_) {
    if (std::ranges::find(lives, place.instance) == lives.end()) continue;
    if (!server.postmaster.IsAlive() || IsOfRoot(server.postmaster)) continue;
    Result<ProcessHandle> postmaster = server.postmaster.Duplicate();
    if (postmaster.ok()) found.push_back(*std::move(postmaster));
  }
  return found;
}

void ServerRegistry::Stop(const std::vector<InstanceId>& lives, const StopTimes& times) {
  std::vector<ProcessHandle> servers = PostmastersOf(lives);
  SignalAll(servers, SIGINT);
  WaitForEnds(&servers, times.fast);
  if (servers.empty()) return;
  SignalAll(servers, SIGQUIT);
  WaitForEnds(&servers, times.immediate);
}

}  // namespace velafs::store
