// Separates velapg's words on a command line from another program's.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace velafs::pgctl {

// How many of `words` (without the program's name) are velapg's: those before "--". For `velapg
// psql`: BRANCH and velapg's options before and right after it. The next word, and all after it,
// are psql's.
size_t OwnWords(const std::vector<std::string>& words);

}  // namespace velafs::pgctl
