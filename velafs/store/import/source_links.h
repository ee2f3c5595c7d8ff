// The treatment of a source's symbolic links: see ImportVerbs::Import.
#pragma once

#include <string>

#include "velafs/store/import/source_tree.h"

namespace velafs::store {

// Whether the path is the directory's or of something below it; both without a slash at the end.
bool IsUnder(const std::string& path, const std::string& directory);
// True for `../../a/b` with at most `depth` steps up: it does not lead out, unless a or b is a link
// that does.
bool StaysInside(const std::string& target, size_t depth);

// Turns every link found, and those found on the way, into their form in the branch: no remaining
// link leads out of the branch. Nothing is imported from a directory that `keep_out` lies in. A
// link out of the directory that is not PostgreSQL's own is left out, followed, or named among
// `tree.foreign_links`, as `links_out` says.
void ResolveLinks(SourceTree& tree, const std::string& keep_out, LinksOut links_out);

}  // namespace velafs::store
