#include "pgctl-wrapper/pool/pool.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <set>
#include <thread>

#include "pgctl-wrapper/command/columns.h"
#include "pgctl-wrapper/pool/pool_clones.h"
#include "pgctl-wrapper/pool/pool_session.h"
#include "velafs/base/name.h"
#include "velafs/base/text.h"
#include "velafs/base/units.h"

namespace velafs::pgctl {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// So that the names of its clones and bookmarks, "pool-NAME-xxxxxxxx", are no longer than CloneName
// makes them.
constexpr size_t kLongestPoolName = 44;
constexpr milliseconds kShortestWait{10};
constexpr milliseconds kLongestWait{200};

// What there is of one pool.
struct PoolCounts {
  std::map<CloneState, size_t> by_state;
  json clones = json::array();

  size_t In(CloneState state) const {
    const auto found = by_state.find(state);
    return found == by_state.end() ? 0 : found->second;
  }
};

PoolCounts CountClones(const std::vector<Branch>& branches, const std::string& pool) {
  PoolCounts counts;
  for (const Branch& branch : branches) {
    const std::optional<CloneState> state = StateOf(branch);
    if (PoolOf(branch) != pool || state == CloneState::kBase) continue;
    if (state) ++counts.by_state[*state];
    counts.clones.push_back({{"branch", branch.name}, {"state", StateLabelOf(branch)}});
  }
  return counts;
}

json PoolToJson(const std::string& name, const PoolPlan& plan, const PoolCounts& counts) {
  return {{"pool", name},
          {"source", plan.source},
          {"state", plan.state},
          {"size", plan.size},
          {"ready", counts.In(CloneState::kReady)},
          {"filling", counts.In(CloneState::kFilling)},
          {"taken", counts.In(CloneState::kTaken)},
          {"released", counts.In(CloneState::kReleased)},
          {"clones", counts.clones}};
}

Status ConfirmPool(Session& session, const PoolDir& pool, const PoolPlan& plan,
                   const Output& output) {
  VELAFS_ASSIGN(const std::vector<Branch> clones, ClonesOf(session, pool.name()));
  const PoolCounts counts = CountClones(clones, pool.name());
  output.Confirm(PoolToJson(pool.name(), plan, counts),
                 "pool " + Quoted(pool.name()) + ": " +
                     std::to_string(counts.In(CloneState::kReady)) + " clones of " + plan.state +
                     " are ready\n");
  return {};
}

// The pool's plan from now on, as the arguments say it.
Result<PoolPlan> MakePlan(Session& session, const PoolDir& pool, const Arguments& arguments) {
  VELAFS_ASSIGN(const UniqueFd right, pool.Lock(PoolDir::Right::kTake));
  const Result<std::optional<PoolPlan>> before = pool.ReadPlan();
  const bool is_there = before.ok() && *before;
  if (is_there && (*before)->size == 0) {
    return Refused("pool " + Quoted(pool.name()) + " is being stopped",
                   "velapg pool stop " + pool.name() + " brings that to an end");
  }
  if (is_there && (*before)->source != arguments.branch) {
    return Refused("pool " + Quoted(pool.name()) + " is of " + Quoted((*before)->source),
                   "give another --name");
  }
  PoolPlan plan{
      arguments.branch, "", arguments.pool_size, arguments.user, arguments.dbname, arguments.start,
      arguments.as_user};
  if (is_there) {
    plan.state = (*before)->state;
  } else {
    VELAFS_ASSIGN(plan.state, NewPoolState(session, plan.source, pool.name()));
  }
  std::error_code error;  // the pool is filled from other working directories
  if (!plan.start.pgbin.empty())
    plan.start.pgbin = std::filesystem::absolute(plan.start.pgbin, error);
  VELAFS_TRY(pool.WritePlan(plan));
  return plan;
}

json ExpiryOf(const Branch& branch) {
  return branch.expires_at.empty() ? json(nullptr) : json(branch.expires_at);
}

Status PrintTaken(Session& session, const FoundPool& pool, const TakenClone& taken,
                  const Arguments& arguments, const Output& output) {
  const auto& [socket_dir, port] = taken.address;
  const Branch& branch = taken.target.branch;
  VELAFS_ASSIGN(const Connection connection,
                ConnectionFor(session, taken.target, taken.address, LoginOf(pool.plan)));
  const std::string url = Url(connection);
  std::string text = "took branch " + Quoted(branch.name) + " from pool " +
                     Quoted(pool.dir.name()) + ": pid " + std::to_string(taken.pid) + ", port " +
                     std::to_string(port) + "\n" + url + "\n";
  if (arguments.as_url) text = url + "\n";
  if (arguments.as_env)
    text = ShellExports(connection) + "export VELAFS_BRANCH='" + branch.name + "'\n";
  output.Print({{"pool", pool.dir.name()},
                {"branch", branch.name},
                {"pid", taken.pid},
                {"port", port},
                {"socket_dir", socket_dir},
                {"url", url},
                {"data_dir", branch.data_dir},
                {"expires_at", ExpiryOf(branch)}},
               text);
  return {};
}

// Makes one, unless somebody else is at it already. True when there may be one to take now.
Result<bool> MakeOne(Session& session, const FoundPool& pool, const Output& output) {
  VELAFS_ASSIGN(const UniqueFd right, pool.dir.TryLock(PoolDir::Right::kFill));
  if (!right) return false;
  VELAFS_TRY(FillPool(session, pool.dir, 1, output));
  return true;
}

// The lease asked for, else that of the branch's policy; nothing without either.
Result<std::optional<std::chrono::seconds>> LeaseFor(Session& session, const std::string& branch,
                                                     const Arguments& arguments) {
  if (arguments.lease) return arguments.lease;
  VELAFS_ASSIGN(const std::string policy, session.Policy(branch, "lease"));
  if (policy.empty()) return std::optional<std::chrono::seconds>();
  VELAFS_ASSIGN(const std::chrono::seconds lease, ParseDuration(policy));
  return std::optional(lease);
}

// A clone that this user has taken from a pool of his.
Result<Branch> FindTaken(Session& session, const std::string& name) {
  VELAFS_ASSIGN(Branch branch, session.Find(name));
  VELAFS_ASSIGN(const Owner user, PoolUser(session));
  if (PoolOf(branch).empty() || StateOf(branch) == CloneState::kBase) {
    return Refused("branch " + Quoted(branch.name) + " does not belong to a pool",
                   "velafs delete deletes branches");
  }
  if (branch.owner != user.name) {
    return Refused(
        "branch " + Quoted(branch.name) + " belongs to a pool of user " + Quoted(branch.owner),
        "each user has pools of their own");
  }
  const std::optional<CloneState> state = StateOf(branch);
  if (state == CloneState::kTaken || state == CloneState::kReleased) return branch;
  return Refused("branch " + Quoted(branch.name) + " is not taken",
                 "velapg pool stop " + PoolOf(branch) + " ends the pool");
}

Result<TakenClone> TakeInTime(Session& session, const FoundPool& pool, const Arguments& arguments,
                              const Output& output) {
  VELAFS_ASSIGN(const SourceRef source, ParseSourceRef(pool.plan.source));
  VELAFS_ASSIGN(const auto lease, LeaseFor(session, source.branch, arguments));
  const auto deadline = steady_clock::now() + arguments.take_wait;
  for (milliseconds wait = kShortestWait;; wait = std::min(wait * 2, kLongestWait)) {
    VELAFS_ASSIGN(std::optional<TakenClone> taken, TryTake(session, pool.dir, lease));
    if (taken) return *std::move(taken);
    if (steady_clock::now() >= deadline) {
      return Failed("pool " + Quoted(pool.dir.name()) + " has no ready clone",
                    "wait longer with --wait, or give it a larger --size with velapg pool");
    }
    VELAFS_ASSIGN(const bool made, MakeOne(session, pool, output));
    if (!made) std::this_thread::sleep_for(wait);
  }
}

}  // namespace

Result<int> MakePool(const Arguments& arguments, const Output& output) {
  VELAFS_TRY(ParseSourceRef(arguments.branch).status());
  std::string name = arguments.pool_name;
  if (name.empty()) {
    name = arguments.branch.substr(0, kLongestPoolName);
    std::replace(name.begin(), name.end(), '@', '-');
  }
  VELAFS_TRY(CheckName("pool", name));
  if (name.size() > kLongestPoolName) {
    return UsageError("pool name " + Quoted(name) + " is longer than " +
                      std::to_string(kLongestPoolName) + " characters");
  }
  VELAFS_ASSIGN(Session session, OpenPoolSession(arguments.store));
  VELAFS_ASSIGN(const std::string place, session.PoolsPlace());
  const PoolDir pool(place, name);
  VELAFS_TRY(pool.Make());
  VELAFS_ASSIGN(const PoolPlan plan, MakePlan(session, pool, arguments));
  VELAFS_ASSIGN(const UniqueFd right, pool.Lock(PoolDir::Right::kFill));
  VELAFS_TRY(DeletePoolStates(session, name, plan.state));
  VELAFS_TRY(FillPool(session, pool, plan.size, output));
  VELAFS_TRY(ConfirmPool(session, pool, plan, output));
  return 0;
}

Result<int> ListPools(const Arguments& arguments, const Output& output) {
  VELAFS_ASSIGN(Session session, Session::Open(arguments.store));
  VELAFS_ASSIGN(const std::string place, session.PoolsPlace());
  VELAFS_ASSIGN(const Owner user, PoolUser(session));
  VELAFS_ASSIGN(const std::vector<Branch> branches, session.List({{"owner", user.name}}));
  std::set<std::string> names;
  for (const std::string& name : PoolDir::Names(place)) names.insert(name);
  for (const Branch& branch : branches) {
    if (!PoolOf(branch).empty()) names.insert(PoolOf(branch));
  }
  json document = json::array();
  std::vector<std::vector<std::string>> rows = {{"POOL", "SOURCE", "SIZE", "READY", "TAKEN"}};
  for (const std::string& name : names) {
    const Result<std::optional<PoolPlan>> read = PoolDir(place, name).ReadPlan();
    if (!read.ok()) output.Warn("pool " + Quoted(name) + ": " + read.status().message());
    const PoolPlan plan = read.ok() ? read->value_or(PoolPlan()) : PoolPlan();
    const PoolCounts counts = CountClones(branches, name);
    document.push_back(PoolToJson(name, plan, counts));
    rows.push_back({name, plan.source, std::to_string(plan.size),
                    std::to_string(counts.In(CloneState::kReady)),
                    std::to_string(counts.In(CloneState::kTaken))});
  }
  output.Print({{"pools", std::move(document)}}, names.empty() ? "" : AlignColumns(rows));
  return 0;
}

Result<int> RefreshPool(const Arguments& arguments, const Output& output) {
  VELAFS_ASSIGN(Session session, OpenPoolSession(arguments.store));
  VELAFS_ASSIGN(const FoundPool found, FindPool(session, arguments.branch));
  const PoolDir& pool = found.dir;
  PoolPlan plan = found.plan;
  {
    VELAFS_ASSIGN(const UniqueFd right, pool.Lock(PoolDir::Right::kTake));
    VELAFS_ASSIGN(plan.state, NewPoolState(session, plan.source, pool.name()));
    VELAFS_TRY(Retire(session, pool.name(), {CloneState::kReady}));
    VELAFS_TRY(pool.WritePlan(plan));  // last: cut off before, the pool is as it was, but empty
  }
  VELAFS_ASSIGN(const UniqueFd right, pool.Lock(PoolDir::Right::kFill));
  VELAFS_TRY(DeletePoolStates(session, pool.name(), plan.state));
  VELAFS_TRY(FillPool(session, pool, plan.size, output));
  VELAFS_TRY(ConfirmPool(session, pool, plan, output));
  return 0;
}

Result<int> StopPool(const Arguments& arguments, const Output& output) {
  VELAFS_ASSIGN(Session session, OpenPoolSession(arguments.store));
  VELAFS_ASSIGN(const std::string name, FindPoolName(session, arguments.branch));
  VELAFS_ASSIGN(const std::string place, session.PoolsPlace());
  const PoolDir pool(place, name);
  VELAFS_TRY(pool.Make());  // for the locks
  {
    VELAFS_ASSIGN(const UniqueFd right, pool.Lock(PoolDir::Right::kTake));
    VELAFS_TRY(pool.WritePlan(PoolPlan()));  // whoever fills it makes no more
    VELAFS_TRY(Retire(session, name, {CloneState::kReady}));
  }
  VELAFS_ASSIGN(const UniqueFd right, pool.Lock(PoolDir::Right::kFill));
  std::vector<CloneState> states = {CloneState::kFilling, CloneState::kReady,
                                    CloneState::kReleased};
  if (arguments.stop_all) states.push_back(CloneState::kTaken);
  VELAFS_TRY(ThrowAwayAll(session, name, states));
  VELAFS_TRY(DeletePoolStates(session, name, /*except=*/""));
  VELAFS_ASSIGN(const std::vector<Branch> left, ClonesOf(session, name));
  VELAFS_TRY(pool.Remove());
  const PoolCounts counts = CountClones(left, name);
  output.Confirm({{"pool", name}, {"stopped", true}, {"clones", counts.clones}},
                 "pool " + Quoted(name) + " stopped; " +
                     std::to_string(counts.In(CloneState::kTaken)) +
                     " of its clones are still taken\n");
  return 0;
}

Result<int> FillPoolNow(const Arguments& arguments, const Output& output) {
  VELAFS_ASSIGN(Session session, OpenPoolSession(arguments.store));
  VELAFS_ASSIGN(const std::string name, FindPoolName(session, arguments.branch));
  VELAFS_ASSIGN(const std::string place, session.PoolsPlace());
  const PoolDir pool(place, name);
  Result<UniqueFd> next = UniqueFd();
  if (arguments.unless_waiting) {
    next = pool.TryLock(PoolDir::Right::kNext);
    if (next.ok() && !*next) return 0;
  }
  Result<UniqueFd> right = pool.Lock(PoolDir::Right::kFill);
  if (right.status().code() == Code::kNotFound) {  // stopped: some that were taken may be left
    VELAFS_TRY(ThrowAwayAll(session, name, {CloneState::kReleased}));
    return 0;
  }
  VELAFS_TRY(right.status());
  next = UniqueFd();
  VELAFS_ASSIGN(const std::optional<PoolPlan> plan, pool.ReadPlan());
  const PoolPlan wanted = plan.value_or(PoolPlan());
  VELAFS_TRY(FillPool(session, pool, wanted.size, output));
  VELAFS_TRY(ConfirmPool(session, pool, wanted, output));
  return 0;
}

Result<int> Take(const Arguments& arguments, const Output& output) {
  VELAFS_ASSIGN(Session session, OpenPoolSession(arguments.store));
  VELAFS_ASSIGN(const FoundPool pool, FindPool(session, arguments.branch));
  VELAFS_ASSIGN(const TakenClone taken, TakeInTime(session, pool, arguments, output));
  VELAFS_TRY(PrintTaken(session, pool, taken, arguments, output));
  const Status filling = FillInBackground(session, pool.dir.name());
  if (!filling.ok()) output.Warn("pool " + Quoted(pool.dir.name()) + ": " + filling.message());
  return 0;
}

Result<int> Release(const Arguments& arguments, const Output& output) {
  VELAFS_ASSIGN(Session session, OpenPoolSession(arguments.store));
  VELAFS_ASSIGN(const Branch branch, FindTaken(session, arguments.branch));
  VELAFS_TRY(SetState(session, branch, CloneState::kReleased));
  VELAFS_TRY(FillInBackground(session, PoolOf(branch)));
  output.Confirm({{"branch", branch.name}, {"pool", PoolOf(branch)}, {"released", true}},
                 "released branch " + Quoted(branch.name) + "\n");
  return 0;
}

Result<int> Renew(const Arguments& arguments, const Output& output) {
  VELAFS_ASSIGN(Session session, OpenPoolSession(arguments.store));
  VELAFS_ASSIGN(const Branch taken, FindTaken(session, arguments.branch));
  VELAFS_ASSIGN(const auto lease, LeaseFor(session, taken.name, arguments));
  if (!lease) {
    return UsageError("no lease is given, and there is no policy \"lease\"",
                      "write velapg renew " + taken.name + " --lease 30m");
  }
  VELAFS_TRY(SetLease(session, taken, *lease));
  VELAFS_ASSIGN(const Branch branch, session.Find(taken.name));
  output.Confirm(
      {{"branch", branch.name}, {"pool", PoolOf(branch)}, {"expires_at", ExpiryOf(branch)}},
      "branch " + Quoted(branch.name) + " is given back at " + branch.expires_at + "\n");
  return 0;
}

}  // namespace velafs::pgctl
