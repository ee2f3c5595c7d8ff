#include "pgctl-wrapper/pool/pool_session.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "pgctl-wrapper/pool/pool_clones.h"
#include "pgctl-wrapper/pool/run.h"
#include "pgctl-wrapper/process/process.h"
#include "velafs/base/name.h"

namespace velafs::pgctl {
namespace {

using nlohmann::json;

Status NoSuchPool(const std::string& word) {
  return NotFound("there is no pool \"" + word + "\"",
                  "make one with velapg pool SOURCE --size N; velapg pool list shows the pools");
}

// The pools whose plan can be read.
Result<std::vector<FoundPool>> Pools(Session& session) {
  VELAFS_ASSIGN(const std::string place, session.PoolsPlace());
  std::vector<FoundPool> pools;
  for (const std::string& name : PoolDir::Names(place)) {
    PoolDir dir(place, name);
    Result<std::optional<PoolPlan>> plan = dir.ReadPlan();
    if (plan.ok() && *plan) pools.push_back({std::move(dir), **std::move(plan)});
  }
  return pools;
}

std::string StatePrefix(const std::string& pool) { return "pool-" + pool + "-"; }

// As CloneName makes them: the prefix, and eight digits.
bool IsStateOf(const std::string& bookmark, const std::string& pool) {
  const std::string prefix = StatePrefix(pool);
  return bookmark.starts_with(prefix) && bookmark.size() == prefix.size() + 8 &&
         bookmark.find_first_not_of("0123456789abcdef", prefix.size()) == std::string::npos;
}

// Users who have pools of the same name may have them of the same branch.
Result<std::string> StateNote(const Session& session, const std::string& pool) {
  VELAFS_ASSIGN(const Owner user, PoolUser(session));
  VELAFS_ASSIGN(const Owner store_user, OwnerOfFile(session.store() + "/run"));
  const std::string note = "of pool \"" + pool + "\"";
  return user.uid == store_user.uid ? note : note + " of user \"" + user.name + "\"";
}

// This program's file, for a process that outlives this one.
std::string VelapgProgram() {
  constexpr char kSelf[] = "/proc/self/exe";
  std::error_code error;
  const auto program = std::filesystem::read_symlink(kSelf, error);
  return !error && access(program.c_str(), X_OK) == 0 ? program.string() : kSelf;
}

}  // namespace

Result<Session> OpenPoolSession(const std::string& store_option) {
  VELAFS_ASSIGN(Session session, Session::Open(store_option));
  VELAFS_TRY(session.EnsureMounted());
  VELAFS_ASSIGN(const Owner user, PoolUser(session));
  if (user.uid != geteuid()) VELAFS_TRY(BecomeForGood(user));
  return session;
}

Result<FoundPool> FindPool(Session& session, const std::string& word) {
  VELAFS_TRY(ParseSourceRef(word).status());
  VELAFS_ASSIGN(std::vector<FoundPool> pools, Pools(session));
  std::erase_if(pools, [](const FoundPool& pool) { return pool.plan.size == 0; });
  for (FoundPool& pool : pools) {
    if (pool.dir.name() == word) return std::move(pool);
  }
  std::erase_if(pools, [&word](const FoundPool& pool) { return pool.plan.source != word; });
  if (pools.size() == 1) return std::move(pools.front());
  if (pools.empty()) return NoSuchPool(word);
  return Refused("several pools belong to \"" + word + "\"",
                 "name one: \"" + pools[0].dir.name() + "\", \"" + pools[1].dir.name() + "\" ...");
}

Result<std::string> FindPoolName(Session& session, const std::string& word) {
  Result<FoundPool> pool = FindPool(session, word);
  if (pool.ok()) return pool->dir.name();
  if (pool.status().code() != Code::kNotFound || !CheckName("pool", word).ok()) {
    return std::move(pool).status();
  }
  VELAFS_ASSIGN(const std::string place, session.PoolsPlace());
  const std::vector<std::string> names = PoolDir::Names(place);
  if (std::find(names.begin(), names.end(), word) != names.end()) return word;
  VELAFS_ASSIGN(const std::vector<Branch> clones, ClonesOf(session, word));
  if (clones.empty()) return NoSuchPool(word);
  return word;
}

Result<std::string> NewPoolState(Session& session, const std::string& source,
                                 const std::string& pool) {
  VELAFS_ASSIGN(const SourceRef ref, ParseSourceRef(source));
  if (!ref.bookmark.empty()) return source;
  VELAFS_ASSIGN(const Branch branch, session.Find(ref.branch));
  VELAFS_ASSIGN(const Owner user, PoolUser(session));
  const std::string name = CloneName("pool", pool);
  if (geteuid() == 0 || branch.owner == user.name) {
    const std::string state = source + "@" + name;
    VELAFS_ASSIGN(const std::string note, StateNote(session, pool));
    VELAFS_TRY(session.Call("bookmark-create", {{"name", state}, {"note", note}}).status());
    return state;
  }
  // Nobody makes a bookmark of what is another's.
  const json labels = {{kPoolLabel, pool}, {kStateLabel, NameOf(kCloneStates, CloneState::kBase)}};
  VELAFS_TRY(
      session.Call("clone", {{"source", source}, {"name", name}, {"labels", labels}}).status());
  // As long as the pool, unless the policy max_ttl forbids that.
  (void)session.Call("ttl", {{"name", name}, {"ttl", "none"}});
  return name;
}

Status DeletePoolStates(Session& session, const std::string& pool, const std::string& except) {
  VELAFS_ASSIGN(const std::string note, StateNote(session, pool));
  VELAFS_ASSIGN(const json list, session.Call("bookmark-list", json::object()));
  for (const json& bookmark : list.value("bookmarks", json::array())) {
    const std::string name = bookmark.value("name", "");
    const Result<SourceRef> ref = ParseSourceRef(name);
    if (!ref.ok() || name == except || !IsStateOf(ref->bookmark, pool)) continue;
    if (bookmark.value("note", "") != note) continue;
    VELAFS_TRY(session.Call("bookmark-delete", {{"name", name}}).status());
  }
  VELAFS_ASSIGN(const std::vector<Branch> clones, ClonesOf(session, pool));
  for (const Branch& clone : clones) {
    if (StateOf(clone) != CloneState::kBase || clone.name == except) continue;
    VELAFS_TRY(session.Call("delete", {{"name", clone.name}, {"purge", true}}).status());
  }
  return {};
}

Status FillInBackground(Session& session, const std::string& pool) {
  VELAFS_ASSIGN(const std::string place, session.PoolsPlace());
  const PoolDir dir(place, pool);
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return SystemError(errno, "cannot open \"/dev/null\"");
  const UniqueFd log(
      open(dir.Log().c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  Command fill;
  fill.argv = {VelapgProgram(),    "--store", session.store(), "pool", "fill",
               "--unless-waiting", pool};
  fill.stdin_fd = null.get();
  fill.stdout_fd = null.get();
  fill.stderr_fd = log ? log.get() : null.get();  // no directory: the pool has been stopped
  fill.new_session = true;
  return Spawn(fill).status();
}

}  // namespace velafs::pgctl
