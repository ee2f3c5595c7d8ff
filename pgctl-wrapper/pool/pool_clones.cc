#include "pgctl-wrapper/pool/pool_clones.h"

#include <unistd.h>

#include <algorithm>

#include "pgctl-wrapper/pool/run.h"
#include "pgctl-wrapper/pool/throw_away.h"
#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/server/clone_user.h"
#include "pgctl-wrapper/server/server.h"
#include "velafs/base/name.h"

namespace velafs::pgctl {
namespace {

using nlohmann::json;

std::string LabelOf(const Branch& branch, const char* key) {
  const auto found = branch.labels.find(key);
  return found == branch.labels.end() ? "" : found->second;
}

bool IsIn(const Branch& clone, const std::vector<CloneState>& states) {
  return std::ranges::any_of(states, [&](CloneState state) { return StateOf(clone) == state; });
}

// The clone with its server, if that takes connections and we may use it.
std::optional<TakenClone> FindUp(const Session& session, const Branch& clone) {
  const Result<Owner> owner = OwnerOfData(clone.data_dir);
  if (!owner.ok() || !CheckMayActAs(*owner, clone.name).ok()) return std::nullopt;
  const ActingAs acting(*owner);
  const Result<std::optional<RunningServer>> server = FindServer(clone.data_dir, clone.server_pid);
  if (!server.ok() || !*server || (*server)->lost || !(*server)->file.IsUp()) return std::nullopt;
  Result<ServerAddress> address = AddressOf(session, clone, *owner);
  if (!address.ok()) return std::nullopt;
  return TakenClone{{clone, *owner}, (*server)->file.pid, *std::move(address)};
}

// The first connection to a database builds its server's caches, in memory and on disk.
void Warm(const Target& target, const Connection& connection, const PoolPlan& plan,
          const Output& output) {
  const Status login = CheckLogin(target, connection, plan.start.pgbin);
  if (!login.ok()) {
    output.Warn(login.message() + "; " + login.hint());
    return;
  }
  Command psql;
  psql.argv = {ClientProgramFor(target, plan.start.pgbin, "psql"), "-qXwAtc", "select 1"};
  psql.environment = WithConnection(EnvironmentOf(target.owner), connection);
  psql.run_as = &target.owner;
  const Result<Captured> captured = Capture(std::move(psql));
  if (captured.ok() && captured->exit_status == 0) return;
  output.Warn("cannot connect to branch \"" + target.branch.name +
              "\": " + (captured.ok() ? captured->err : captured.status().message()));
}

Status StartClone(Session& session, const Branch& clone, const PoolPlan& plan,
                  const Output& output) {
  VELAFS_ASSIGN(const Target target, OpenTarget(session, clone.name));
  VELAFS_ASSIGN(const StartedServer server,
                StartServer(session, target.branch, target.owner, plan.start));
  for (const std::string& warning : server.warnings) output.Warn(warning);
  VELAFS_ASSIGN(const Connection connection,
                ConnectionFor(session, target, {server.socket_dir, server.port}, LoginOf(plan)));
  Warm(target, connection, plan, output);
  return {};
}

// Ready, if its state is still the one that the pool's clones are to have.
Status MakeReady(Session& session, const PoolDir& pool, const Branch& clone,
                 const PoolPlan& made_for) {
  VELAFS_ASSIGN(const UniqueFd right, pool.Lock(PoolDir::Right::kTake));
  VELAFS_ASSIGN(const std::optional<PoolPlan> plan, pool.ReadPlan());
  const bool is_wanted = plan && plan->size > 0 && plan->state == made_for.state;
  return SetState(session, clone, is_wanted ? CloneState::kReady : CloneState::kReleased);
}

Status MakeClone(Session& session, const PoolDir& pool, const PoolPlan& plan,
                 const Output& output) {
  const std::string name = CloneName("pool", pool.name());
  json request = {
      {"source", plan.state},
      {"name", name},
      {"labels",
       {{kPoolLabel, pool.name()}, {kStateLabel, NameOf(kCloneStates, CloneState::kFilling)}}}};
  VELAFS_ASSIGN(const std::optional<std::string> user,
                UserOfClone(session, plan.state, plan.as_user));
  if (user) request["as_user"] = *user;
  if (IsIsolated(plan.start.network)) request["isolated"] = true;  // whoever takes it, restarts it
  Status cloned = session.Call("clone", request).status();
  if (cloned.code() == Code::kNotFound) {
    return std::move(cloned).WithHint("velapg pool refresh " + pool.name() +
                                      " gives the pool its source's current state");
  }
  VELAFS_TRY(cloned);
  VELAFS_ASSIGN(const Branch clone, session.Find(name));
  Status ready = StartClone(session, clone, plan, output);
  if (ready.ok()) ready = MakeReady(session, pool, clone, plan);
  if (ready.ok()) return {};
  const Status gone = ThrowAway(session, clone);
  if (!gone.ok()) output.Warn("cannot delete branch \"" + name + "\": " + gone.message());
  return ready;
}

Status RestartClone(Session& session, const Branch& clone, const PoolPlan& plan,
                    const Output& output) {
  const Status started = StartClone(session, clone, plan, output);
  if (started.ok()) return {};
  output.Warn("threw away branch \"" + clone.name + "\": " + started.message());
  VELAFS_TRY(SetState(session, clone, CloneState::kReleased));
  return ThrowAway(session, clone);
}

// Another process may be at it, too.
Status ThrowAwayIfThere(Session& session, const Branch& clone) {
  Status gone = ThrowAway(session, clone);
  return gone.code() == Code::kNotFound ? Status() : gone;
}

// One that is ready, if it still is.
Status RetireOne(Session& session, const PoolDir& pool, const Branch& clone) {
  VELAFS_ASSIGN(const UniqueFd right, pool.Lock(PoolDir::Right::kTake));
  VELAFS_ASSIGN(const Branch now, session.Find(clone.name));
  return StateOf(now) == CloneState::kReady ? SetState(session, now, CloneState::kReleased)
                                            : Status();
}

Status DoStep(Session& session, const PoolDir& pool, const PoolPlan& plan, FillStep::Kind kind,
              const Branch* clone, const Output& output) {
  switch (kind) {
    case FillStep::kMake:
      return MakeClone(session, pool, plan, output);
    case FillStep::kRestart:
      return RestartClone(session, *clone, plan, output);
    case FillStep::kRetire:
      return RetireOne(session, pool, *clone);
    case FillStep::kThrowAway:
      return ThrowAwayIfThere(session, *clone);
    case FillStep::kNothing:
      break;
  }
  return {};
}

}  // namespace

std::string PoolOf(const Branch& branch) { return LabelOf(branch, kPoolLabel); }
std::string StateLabelOf(const Branch& branch) { return LabelOf(branch, kStateLabel); }
std::optional<CloneState> StateOf(const Branch& branch) {
  return ValueOf(kCloneStates, StateLabelOf(branch));
}

LoginChoice LoginOf(const PoolPlan& plan) {
  const Result<SourceRef> source = ParseSourceRef(plan.source);
  return {plan.user, plan.dbname, /*superuser=*/false, plan.start.pgbin,
          source.ok() ? source->branch : ""};
}

Result<Owner> PoolUser(const Session& session) {
  if (geteuid() != 0) return CurrentUser();
  return OwnerOfFile(session.store() + "/run");
}

Result<std::vector<Branch>> ClonesOf(Session& session, const std::string& pool) {
  // Anybody may put a label on a branch of his own.
  VELAFS_ASSIGN(const Owner user, PoolUser(session));
  return session.List({{"labels", {{kPoolLabel, pool}}}, {"owner", user.name}});
}

Status SetState(Session& session, const Branch& clone, CloneState state) {
  const json labels = {{kStateLabel, NameOf(kCloneStates, state)}};
  return session.Call("label", {{"name", clone.name}, {"set", labels}}).status();
}

Status SetLease(Session& session, const Branch& clone, std::chrono::seconds lease) {
  return session.Call("ttl", {{"name", clone.name}, {"ttl", std::to_string(lease.count()) + "s"}})
      .status();
}

Status Retire(Session& session, const std::string& pool, const std::vector<CloneState>& states) {
  VELAFS_ASSIGN(const std::vector<Branch> clones, ClonesOf(session, pool));
  for (const Branch& clone : clones) {
    if (IsIn(clone, states)) VELAFS_TRY(SetState(session, clone, CloneState::kReleased));
  }
  return {};
}

Status ThrowAwayAll(Session& session, const std::string& pool,
                    const std::vector<CloneState>& states) {
  VELAFS_ASSIGN(const std::vector<Branch> clones, ClonesOf(session, pool));
  for (const Branch& clone : clones) {
    if (IsIn(clone, states)) VELAFS_TRY(ThrowAwayIfThere(session, clone));
  }
  return {};
}

Result<std::optional<TakenClone>> TryTake(Session& session, const PoolDir& pool,
                                          const std::optional<std::chrono::seconds>& lease) {
  VELAFS_ASSIGN(const UniqueFd right, pool.Lock(PoolDir::Right::kTake));
  VELAFS_ASSIGN(const std::optional<PoolPlan> plan, pool.ReadPlan());
  if (!plan || plan->size == 0) return NotFound("pool \"" + pool.name() + "\" has been stopped");
  VELAFS_ASSIGN(const std::vector<Branch> clones, ClonesOf(session, pool.name()));
  for (const Branch& clone : clones) {
    if (StateOf(clone) != CloneState::kReady) continue;
    std::optional<TakenClone> taken = FindUp(session, clone);
    if (!taken) continue;
    // First: nobody is to have it without the lease.
    if (lease) VELAFS_TRY(SetLease(session, clone, *lease));
    VELAFS_TRY(SetState(session, clone, CloneState::kTaken));
    VELAFS_ASSIGN(taken->target.branch, session.Find(clone.name));
    return taken;
  }
  return std::optional<TakenClone>();
}

FillStep NextFillStep(const std::vector<CloneFact>& clones, size_t size, size_t enough) {
  const auto find = [&](const auto& matches) -> std::optional<size_t> {
    const auto found = std::find_if(clones.begin(), clones.end(), matches);
    if (found == clones.end()) return std::nullopt;
    return static_cast<size_t>(found - clones.begin());
  };
  const auto is_ready = [](const CloneFact& clone) { return clone.state == CloneState::kReady; };
  const auto is_up = [&](const CloneFact& clone) { return is_ready(clone) && clone.is_up; };
  const auto is_down = [&](const CloneFact& clone) { return is_ready(clone) && !clone.is_up; };
  const auto up = static_cast<size_t>(std::count_if(clones.begin(), clones.end(), is_up));
  const auto ready = static_cast<size_t>(std::count_if(clones.begin(), clones.end(), is_ready));

  if (up < std::min(size, enough)) {
    if (const auto down = find(is_down)) return {FillStep::kRestart, *down};
    return {FillStep::kMake, 0};
  }
  if (enough < size) return {};
  if (ready > size) {
    const auto down = find(is_down);
    return {FillStep::kRetire, down ? *down : *find(is_up)};
  }
  const auto left_over = find([](const CloneFact& clone) {
    return clone.state == CloneState::kReleased || clone.state == CloneState::kFilling;
  });
  if (left_over) return {FillStep::kThrowAway, *left_over};
  return {};
}

Status FillPool(Session& session, const PoolDir& pool, size_t enough, const Output& output) {
  for (;;) {
    VELAFS_ASSIGN(const std::optional<PoolPlan> plan, pool.ReadPlan());
    VELAFS_ASSIGN(const std::vector<Branch> clones, ClonesOf(session, pool.name()));
    std::vector<CloneFact> facts;
    for (const Branch& clone : clones) {
      const std::optional<CloneState> state = StateOf(clone);
      facts.push_back({state, state == CloneState::kReady && FindUp(session, clone).has_value()});
    }
    const PoolPlan wanted = plan.value_or(PoolPlan());
    const FillStep step = NextFillStep(facts, wanted.size, enough);
    if (step.kind == FillStep::kNothing) return {};
    const Branch* clone = step.kind == FillStep::kMake ? nullptr : &clones[step.clone];
    VELAFS_TRY(DoStep(session, pool, wanted, step.kind, clone, output));
  }
}

}  // namespace velafs::pgctl
