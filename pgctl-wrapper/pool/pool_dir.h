// A pool's files: its plan, its locks, its log. Each user has separate pools, in
// STORE/run/pools-UID/NAME/, or in STORE/run/pools/NAME/ for the user that the store runs as, since
// a plan names programs to run. The labels of clones, not these files, tell which clones a pool has
// and which are taken: the files may be lost.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pgctl-wrapper/process/unique_fd.h"
#include "pgctl-wrapper/server/server.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// The plan of a pool.
struct PoolPlan {
  std::string source;  // the branch or bookmark it was made for
  std::string state;   // the bookmark its clones are made from
  size_t size = 0;     // clones that are to be ready; 0 while the pool is being stopped
  std::string user;
  std::string dbname;
  StartOptions start;
  std::string as_user;  // of its clones; empty: as UserOfClone says
};

std::string PoolPlanToText(const PoolPlan& plan);
// Fails if it is not a plan, or the plan of another release.
Result<PoolPlan> PoolPlanFromText(std::string_view text);

// Processes agree by the locks; else externally synchronised.
class PoolDir {
 public:
  // `place` is Session::PoolsPlace's, `name` a lawful name.
  PoolDir(const std::string& place, std::string name);
  // Of the pools that have files.
  static std::vector<std::string> Names(const std::string& place);

  const std::string& name() const { return name_; }
  std::string Log() const { return path_ + "/log"; }

  Status Make() const;
  // With all in it. To be called with kFill held.
  Status Remove() const;

  // Nothing when the pool has no plan.
  Result<std::optional<PoolPlan>> ReadPlan() const;
  Status WritePlan(const PoolPlan& plan) const;

  enum class Right {
    kTake,  // to change the plan, and to take or retire what is ready; held for milliseconds
    kFill,  // to make clones and throw them away
    kNext,  // to be the only one waiting for kFill
  };
  // Waits for the right, then holds it until the result is destroyed. NotFound when the pool has no
  // files.
  Result<UniqueFd> Lock(Right right) const;
  // An empty descriptor when somebody else has it.
  Result<UniqueFd> TryLock(Right right) const;

 private:
  Result<UniqueFd> LockFile(Right right, int operation) const;

  std::string name_;
  std::string path_;
};

}  // namespace velafs::pgctl
