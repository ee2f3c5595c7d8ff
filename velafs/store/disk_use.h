// The disk space of a store, part by part.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "velafs/base/status.h"
#include "velafs/os/storage.h"

namespace velafs::store {

struct StorePaths;

// Bytes on disk by part: "packs", "layers", "catalog", "copies" (of the catalog), "run", "reserve"
// and "other". All of them are everything in the store's directory but the mountpoint in it.
Result<std::map<std::string, uint64_t>> DiskUse(os::Storage& storage, const StorePaths& paths);

}  // namespace velafs::store
