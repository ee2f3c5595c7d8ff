// What becomes of a source's symbolic links: see ImportVerbs::Import.
#pragma once

#include <string>

#include "velafs/store/import/source_tree.h"

namespace velafs::store {

// Whether the path is the directory's or of something below it; both without a slash at the end.
bool IsUnder(const std::string& path, const std::string& directory);
// True for `../../a/b` with no more steps up than `depth`: it leads out of nothing as long as no
// link that a or b may be does.
bool StaysInside(const std::string& target, size_t depth);

// Turns every link found, and those found on the way, into what the branch will have: no link that
// is left leads out of the branch. Nothing is taken from a directory that `keep_out` lies in.
// A link out of the directory that is none of PostgreSQL's own is left out, followed, or named
// among `tree.foreign_links`, as `links_out` says.
void ResolveLinks(SourceTree& tree, const std::string& keep_out, LinksOut links_out);

}  // namespace velafs::store
