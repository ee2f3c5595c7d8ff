// Where velapg's own words on a command line end.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace velafs::pgctl {

// How many of `words`, the program's name not among them, are velapg's: those before "--". Of
// `velapg psql`, no more than BRANCH with the options of velapg's before and right after it: the
// first other word is psql's, and all that follow.
size_t OwnWords(const std::vector<std::string>& words);

}  // namespace velafs::pgctl
