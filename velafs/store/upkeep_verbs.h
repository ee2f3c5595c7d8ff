// The verbs that a daemon also runs by itself: they delete expired branches and bookmarks, and make
// the store smaller.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>

#include "velafs/base/status.h"
#include "velafs/base/units.h"
#include "velafs/store/caller.h"
#include "velafs/store/verb_types.h"

namespace velafs::store {

struct StoreContext;

// Thread-safe. A verb that returns success is durable.
class UpkeepVerbs {
 public:
  explicit UpkeepVerbs(StoreContext& context) : context_(context) {}

  // Deletes the caller's expired branches and bookmarks unless they are protected: branches into
  // the trash, bookmarks for good. A server on such a branch is ended first, which takes up to 20
  // seconds for all of them; if the policy expire_running is "keep", or the server does not end,
  // the branch is kept. If the policy on_expire is "bookmark", the branch's state is kept as the
  // bookmark expired-NAME of its parent, if its owner may change the parent. That bookmark is not
  // one of the parent's own states: an approval of the parent does not cover it, and
  // CloneOptions::at ignores it.
  Result<Expired> Expire(const Caller& caller, bool dry_run, TimeNs now = NowNs());

  // Frees the space of chunks that no branch, bookmark or deleted branch uses. Branches are
  // used and changed meanwhile; imports wait. `dry_run` only reports what it would free. `progress`
  // is also called while layers are merged, and while it waits for other work to end.
  Result<GcResult> CollectGarbage(const Caller& caller, bool dry_run, const GcProgressFn& progress);
  // Merges layers that nothing needs for themselves any more; see layer::LayerMerger. One
  // pair; the space freed, or nothing when there was none. Everything goes on meanwhile.
  Result<std::optional<uint64_t>> MergeLayers(const std::function<bool()>& go_on);
  // Seals all layers frozen longer ago than that, after merging; see layer::LayerSealer. All
  // goes on meanwhile; imports wait for some seconds at a time.
  Result<SealResult> Seal(const Caller& caller, std::chrono::seconds older_than,
                          const std::function<bool()>& go_on);
  // One layer, frozen before that time; nothing when there was none.
  enum class Pace { kFull, kGentle };  // the disk and processors are others' half of the time
  Result<std::optional<SealResult>> SealLayer(TimeNs frozen_before, Pace pace,
                                              const std::function<bool()>& go_on);

 private:
  StoreContext& context_;
};

}  // namespace velafs::store
