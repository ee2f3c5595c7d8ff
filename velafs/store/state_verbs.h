// The verbs that read a state: of a branch as it is now, or of a bookmark.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/base/streams.h"
#include "velafs/layer/tree_difference.h"
#include "velafs/store/caller.h"
#include "velafs/store/verb_types.h"

namespace velafs::store {

struct StoreContext;

// Thread-safe.
class StateVerbs {
 public:
  explicit StateVerbs(StoreContext& context) : context_(context) {}

  // Writes what `source` is now as a tar archive; see WriteTar. A branch may be in use: it is
  // frozen once, as for a clone, and runs on. Refused to who may not clone it, and for a
  // tablespace that leads out of the branch. What was written before a failure is part of an
  // archive.
  Result<ExportResult> Export(const Caller& caller, const std::string& source, const WriteFn& sink,
                              const ExportProgressFn& progress,
                              SpecialFiles special = SpecialFiles::kLeftOut);

  // What differs from `a` to `b`. See layer::CompareTrees.
  Result<std::vector<layer::FileDifference>> Diff(
      const std::string& a, const std::string& b,
      const std::function<bool()>& go_on = [] { return true; });

 private:
  StoreContext& context_;
};

}  // namespace velafs::store
