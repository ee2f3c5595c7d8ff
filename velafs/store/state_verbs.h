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

  // Writes the present state of `source` as a tar archive; see WriteTar. A branch may be in use: it
  // is frozen once, as for a clone, and runs on. Refused to callers who may not clone it, and if a
  // tablespace leads out of the branch. After a failure the written bytes are a part of an archive.
  Result<ExportResult> Export(const Caller& caller, const std::string& source, const WriteFn& sink,
                              const ExportProgressFn& progress,
                              SpecialFiles special = SpecialFiles::kLeftOut);

  // The differences between `a` and `b`. See layer::CompareTrees.
  Result<std::vector<layer::FileDifference>> Diff(
      const std::string& a, const std::string& b,
      const std::function<bool()>& go_on = [] { return true; });

 private:
  StoreContext& context_;
};

}  // namespace velafs::store
