// The clones of a pool. Each carries the labels `pool` and `pool-state` from its making on:
//
//   filling   being made; abandoned if no process holds the right to fill
//   ready     its server runs, and it may be taken
//   taken     somebody's
//   released  to be deleted
//   base      has the state that the others are clones of; never started
//
// A pool consists of branches of its user alone, whatever labels others put on theirs.
//
// If a process dies, the next one that fills the pool finds the remaining work in the labels.
#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "pgctl-wrapper/command/commands.h"
#include "pgctl-wrapper/command/output.h"
#include "pgctl-wrapper/connect/login.h"
#include "pgctl-wrapper/pool/pool_dir.h"
#include "pgctl-wrapper/server/session.h"
#include "velafs/base/named_values.h"

namespace velafs::pgctl {

inline constexpr char kPoolLabel[] = "pool";
inline constexpr char kStateLabel[] = "pool-state";

enum class CloneState { kFilling, kReady, kTaken, kReleased, kBase };
inline constexpr std::array kCloneStates = {
    NamedValue<CloneState>{CloneState::kFilling, "filling"},
    NamedValue<CloneState>{CloneState::kReady, "ready"},
    NamedValue<CloneState>{CloneState::kTaken, "taken"},
    NamedValue<CloneState>{CloneState::kReleased, "released"},
    NamedValue<CloneState>{CloneState::kBase, "base"},
};

// The pool's name; empty if the branch is of no pool.
std::string PoolOf(const Branch& branch);
// The clone's state in it; nothing if its label, which its user can change, is not a state.
std::optional<CloneState> StateOf(const Branch& branch);
std::string StateLabelOf(const Branch& branch);

// The role for its clones: that of the plan, else of the policies of its source.
LoginChoice LoginOf(const PoolPlan& plan);

// The user whose pools this process uses: for root, the user that the store runs as.
Result<Owner> PoolUser(const Session& session);
Result<std::vector<Branch>> ClonesOf(Session& session, const std::string& pool);
Status SetState(Session& session, const Branch& clone, CloneState state);

// Makes all that are in one of `states` released. With the right to take, unless none of the
// states is CloneState::kReady.
Status Retire(Session& session, const std::string& pool, const std::vector<CloneState>& states);
// Throws away all that are in one of `states`. With the right to fill, unless that is
// CloneState::kReleased.
Status ThrowAwayAll(Session& session, const std::string& pool,
                    const std::vector<CloneState>& states);

struct TakenClone {
  Target target;
  pid_t pid = 0;
  ServerAddress address;
};
// Takes a clone that is ready and whose server takes connections; no two callers get the same
// one. NotFound once the pool is being stopped.
// It is given back by itself after the lease, if there is one.
Result<std::optional<TakenClone>> TryTake(Session& session, const PoolDir& pool,
                                          const std::optional<std::chrono::seconds>& lease);
// From now on.
Status SetLease(Session& session, const Branch& clone, std::chrono::seconds lease);

// A clone's state, as filling a pool needs it.
struct CloneFact {
  std::optional<CloneState> state;
  bool is_up = false;
};

// The next step in filling a pool.
struct FillStep {
  enum Kind { kNothing, kMake, kRestart, kRetire, kThrowAway };
  Kind kind = kNothing;
  size_t clone = 0;  // of all but kMake
  bool operator==(const FillStep&) const = default;
};

// The next step towards `enough` of `size` clones that can be taken; if these are all, also the
// removal of surplus ones. No I/O.
FillStep NextFillStep(const std::vector<CloneFact>& clones, size_t size, size_t enough);

// Takes such steps until none is left. The caller holds the right to fill. Deletes a clone whose
// server does not start, and returns that failure, with the steps left undone.
Status FillPool(Session& session, const PoolDir& pool, size_t enough, const Output& output);

}  // namespace velafs::pgctl
