// The catalog's records, as the rest of velafs sees them. FORMAT.md says how they are stored.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "velafs/base/ids.h"
#include "velafs/base/units.h"

namespace velafs::catalog {

enum class LayerState {
  kImporting = 0,  // being filled by an import that has not published it; removed on recovery
  kHead = 1,       // the one mutable layer of a branch
  kFrozen = 2,     // content in page files; nothing may change it any more
  kSealed = 3,     // frozen, content in chunks
};

struct LayerRow {
  LayerId id;
  LayerId parent;  // none for the first layer of a tree
  LayerState state = LayerState::kHead;
  TimeNs created_at = 0;
  // Sum of the sizes of all regular files as seen through this layer. For a head: as it was when
  // the head was made or last closed cleanly; empty while it may have changed since.
  std::optional<uint64_t> logical_bytes;
  uint64_t stored_bytes = 0;  // bytes of chunks an import added for this layer
};

// What one layer says of one inode. For a regular file that has a page file in the same layer, size
// and times are the page file's own, and those here only say how it began.
struct InodeRow {
  InodeNumber ino;
  uint32_t mode = 0;  // type and permissions, as st_mode
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t nlink = 0;  // 0: gone, as seen from this layer
  uint64_t size_bytes = 0;
  uint64_t rdev = 0;
  TimeNs atime = 0;
  TimeNs mtime = 0;
  TimeNs ctime = 0;
  std::string target = {};  // of a symbolic link
  bool born_here = false;   // first seen in this layer: a regular file has nothing below
};

struct NameRow {
  InodeNumber directory;
  std::string name;  // any bytes but '/' and NUL
  InodeNumber ino;   // none: a whiteout
};

// Content of a sealed file: chunk i of part p covers the file's bytes from
// (p * kChunksPerPart + i) * kChunkBytes. Chunks past the last one of a file are left out.
inline constexpr uint64_t kChunksPerPart = 1024;
inline constexpr uint64_t kPartBytes = kChunksPerPart * kChunkBytes;

struct BranchRow {
  BranchId id;
  InstanceId instance;
  std::string name;
  LayerId head;
  InodeNumber root;
  std::string parent;           // branch it was cloned from; empty for a source
  std::string parent_bookmark;  // full name BRANCH@NAME; empty when cloned from a branch's present
  std::string owner;            // user name
  TimeNs created_at = 0;
  std::optional<TimeNs> expires_at;
  bool is_protected = false;
  std::string note;
  std::optional<uint64_t> quota_bytes;
  std::optional<uint16_t> port;  // kept for the branch's server; unique in the store
  std::map<std::string, std::string> labels;
};

struct BookmarkRow {
  BranchId branch;
  std::string name;  // without BRANCH@
  LayerId layer;
  TimeNs created_at = 0;
  std::string note;
};

}  // namespace velafs::catalog
