// What becomes of a source's symbolic links: see Store::Import.
#pragma once

#include <string>

#include "velafs/store/source_tree.h"

namespace velafs::store {

// Turns every link found, and those found on the way, into what the branch will have: no link that
// is left leads out of the branch. Nothing is taken from a directory that `keep_out` lies in.
void ResolveLinks(SourceTree& tree, const std::string& keep_out);

}  // namespace velafs::store
