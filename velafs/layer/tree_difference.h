// Comparing two states of branches, file by file.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"

namespace velafs::layer {

class BranchHost;

// The state of a branch or bookmark: a layer, and the top directory in it.
struct TreeState {
  LayerId top;
  InodeNumber root;
};
// Finds a state anew, in the transaction that its names are read in.
using FindTreeState = std::function<Result<TreeState>(catalog::Reader&)>;

struct FileDifference {
  enum class Change {
    kAdded,
    kRemoved,
    kModified,
    kRenamed,     // the same file; maybe modified too
    kAttributes,  // the same content, but another mode or owner
  };
  Change change = Change::kModified;
  std::string path;  // below the top directory; of kRemoved in the first tree, else in the second
  std::string from;  // of kRenamed, in the first tree
  uint64_t pages_changed = 0;
  uint64_t bytes_changed = 0;  // in those pages, as far as the longer file goes
  uint64_t size_bytes = 0;     // in the second tree; of kRemoved in the first
};

// Returns the files, links and nodes that differ, by path; of directories only what is in them.
// Takes time in proportion to the content of the layers that the two states do not share, apart
// from one scan of the names of those they share. Reads content only where it may differ.
//
// Both may be written meanwhile; names are those of one moment. ESTALE if a state is gone, or is
// replaced again and again. Refused once `go_on` is false. Thread-safe.
Result<std::vector<FileDifference>> CompareTrees(BranchHost& host, const FindTreeState& a,
                                                 const FindTreeState& b,
                                                 const std::function<bool()>& go_on);

}  // namespace velafs::layer
