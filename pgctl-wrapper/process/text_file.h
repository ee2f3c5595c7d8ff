// Small text files read and written whole.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pgctl-wrapper/process/unique_fd.h"
#include "velafs/base/status.h"

namespace velafs::pgctl {

// All that an open file holds from `offset_bytes` on; of more than `most_bytes`, not much more than
// these. Leaves the file's position alone.
Result<std::string> ReadAll(int fd, uint64_t offset_bytes = 0, uint64_t most_bytes = UINT64_MAX);

// The end of an open file's content from `offset_bytes` on, short enough to quote.
Result<std::string> ReadTail(int fd, uint64_t offset_bytes);

// From `offset_bytes` to the end. The failure carries errno and names the path.
Result<std::string> ReadTextFile(const std::string& path, uint64_t offset_bytes = 0);

// The whole file. Refused when it is larger: a branch's files are its owner's, who may make them
// anything.
Result<std::string> ReadBoundedFile(const std::string& path, uint64_t most_bytes);

// The same of a file that may be a stranger's: refused when it is a symbolic link.
Result<std::string> ReadForeignFile(const std::string& path, uint64_t most_bytes);
// For reading, under the same condition; never waits.
Result<UniqueFd> OpenForeignFile(const std::string& path);

// Replaces the file at once (a reader sees the old or the new text); mode 0600. Not synced.
Status WriteTextFile(const std::string& path, std::string_view text);

// "INTRO:" and the last few lines of `text`, each on a line of its own: a hint that quotes a
// program.
std::string QuoteLastLines(std::string_view intro, std::string_view text);

}  // namespace velafs::pgctl
