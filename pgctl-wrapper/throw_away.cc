#include "pgctl-wrapper/throw_away.h"

#include <chrono>
#include <optional>

#include "pgctl-wrapper/owner.h"
#include "pgctl-wrapper/run_dir.h"

namespace velafs::pgctl {
namespace {

constexpr std::chrono::seconds kStopTime{60};

}  // namespace

Status StopServerOn(Session& session, const Branch& known, StopMode mode) {
  VELAFS_ASSIGN(const Branch branch, session.Find(known.name));
  const std::string socket_dir = FindRunDir(session.store(), branch.id).socket_dir;
  const std::optional<Owner> owner = OwnerOfDirectory(socket_dir);
  if (!owner) return {};  // none was ever started
  const ActingAs acting(*owner);
  std::optional<RunningServer> server;
  if (!branch.data_dir.empty()) {
    VELAFS_ASSIGN(server, FindServer(branch.data_dir, branch.server_pid));
  }
  if (!server) server = FindLostServer(socket_dir);
  if (!server) return {};
  return StopServer(*server, server->lost ? StopMode::kImmediate : mode, kStopTime);
}

Status ThrowAway(Session& session, const Branch& branch) {
  VELAFS_TRY(StopServerOn(session, branch, StopMode::kImmediate));
  const Result<Owner> owner =
      branch.data_dir.empty() ? Failed("not mounted") : OwnerOfData(branch.data_dir);
  if (owner.ok()) VELAFS_TRY(RemoveRunDir(session.store(), branch.id, *owner));
  return session.Call("delete", {{"name", branch.name}, {"force", true}, {"purge", true}}).status();
}

}  // namespace velafs::pgctl
