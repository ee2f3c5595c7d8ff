#include "pgctl-wrapper/pool/throw_away.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <optional>

#include "pgctl-wrapper/connect/tcp_login.h"
#include "pgctl-wrapper/process/owner.h"
#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/server/run_dir.h"
#include "pgctl-wrapper/server/server_group.h"

namespace velafs::pgctl {
namespace {

constexpr std::chrono::seconds kStopTime{60};
constexpr std::chrono::seconds kImmediateStopTime{15};  // the server itself gives its backends 5
constexpr std::chrono::seconds kKillTime{15};

}  // namespace

Status KillServersOn(Session& session, Branch branch) {
  VELAFS_ASSIGN(const Owner owner, OwnerOfData(branch.data_dir));
  VELAFS_TRY(CheckNamespace(owner));
  const auto deadline = std::chrono::steady_clock::now() + kKillTime;
  for (;;) {
    VELAFS_TRY(session.UpdateServer(&branch));
    const std::optional<pid_t> pid = branch.server_pid ? branch.server_pid : branch.orphan_pid;
    if (!pid) return {};
    if (std::chrono::steady_clock::now() >= deadline) {
      return Failed("process " + std::to_string(*pid) + " of its server does not end");
    }
    const ActingAs acting(owner);
    const Result<UniqueFd> process = OpenPidFd(*pid);
    if (!process.ok()) continue;
    syscall(SYS_pidfd_send_signal, process->get(), SIGKILL, nullptr, 0);
    WaitForEnd(*process, std::chrono::seconds(1));
  }
}

Status StopServerOn(Session& session, const Branch& known, StopMode mode) {
  VELAFS_ASSIGN(const Branch branch, session.Find(known.name));
  const RunDir run_dir = FindRunDir(session.store(), branch.id);
  const std::optional<Owner> owner = OwnerOfDirectory(run_dir.socket_dir);
  if (!owner) return {};  // none was ever started
  VELAFS_TRY(CheckNamespace(*owner));
  const ActingAs acting(*owner);
  std::optional<RunningServer> server;
  if (!branch.data_dir.empty()) {
    VELAFS_ASSIGN(server, FindServer(branch.data_dir, branch.server_pid));
  }
  if (!server) server = FindLostServer(run_dir.socket_dir);
  if (!server) return {};
  const auto login = ReadTcpLogin(run_dir);
  const bool is_immediate = server->lost || mode == StopMode::kImmediate;
  VELAFS_TRY(is_immediate ? StopServer(*server, StopMode::kImmediate, kImmediateStopTime)
                          : StopServer(*server, mode, kStopTime));
  return ForgetTcpLogin(run_dir, login);
}

Status ThrowAway(Session& session, const Branch& branch) {
  if (!StopServerOn(session, branch, StopMode::kImmediate).ok()) {
    VELAFS_TRY(KillServersOn(session, branch));
  }
  RemoveServerGroup(branch.name);
  VELAFS_TRY(RemoveRunDir(session.store(), branch.id));
  return session.Call("delete", {{"name", branch.name}, {"force", true}, {"purge", true}}).status();
}

}  // namespace velafs::pgctl
