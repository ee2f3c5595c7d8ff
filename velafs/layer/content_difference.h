// How two files differ, in pages.
#pragma once

#include <cstdint>
#include <functional>

#include "velafs/base/status.h"
#include "velafs/layer/file_content.h"

namespace velafs::layer {

struct ContentDifference {
  uint64_t pages = 0;
  uint64_t bytes = 0;  // in those pages, as far as the longer file goes
};

// Counts pages that differ in any byte, or that only one of the files has in full. Reads only pages
// that the two files have from different places, and of two imports' chunks only those with unequal
// SHA-256. If one of the files is null, every page of the other one differs.
//
// The files may be written meanwhile: then the answer is right for each page at some moment.
// Refused once `go_on` is false.
Result<ContentDifference> CompareContents(const FileContent* a, const FileContent* b,
                                          const std::function<bool()>& go_on);

}  // namespace velafs::layer
