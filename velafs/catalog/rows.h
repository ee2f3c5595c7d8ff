// The catalog's records in memory. FORMAT.md describes how they are stored.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

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
  // Everything the layer holds is on disk. False for a head in use, for a layer whose freeze has
  // not reached its end, and while another layer is merged into this one; a crash leaves it false.
  bool is_settled = true;
  // Sum of the sizes of all regular files as seen through this layer; empty if nobody has counted
  // it since the layer last changed.
  std::optional<uint64_t> logical_bytes;
  uint64_t stored_bytes = 0;  // bytes of chunks an import added for this layer
  // Bytes on disk of its page files and maps, as last counted; empty if nobody has counted them.
  // Valid only for a settled layer.
  std::optional<uint64_t> allocated_bytes;
  uint64_t seals = 0;  // transactions that sealed content of it; an import's does not count
};

// One inode in one layer. If a regular file has a page file in the same layer, the page file has
// the size and times, and those here are the first ones only.
struct InodeRow {
  InodeNumber ino;
  uint32_t mode = 0;  // type and permissions, as st_mode
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t nlink = 0;  // 0: deleted, as seen from this layer
  uint64_t size_bytes = 0;
  uint64_t rdev = 0;
  TimeNs atime = 0;
  TimeNs mtime = 0;
  TimeNs ctime = 0;
  std::string target = {};  // of a symbolic link
  bool born_here = false;   // first seen in this layer: a regular file has nothing below
  // If pages of a regular file in this layer have been sealed: how much of the file below is still
  // visible, as in a page map. Empty if there are none, or the layer was imported.
  std::optional<uint64_t> inherited_bytes = {};

  bool operator==(const InodeRow&) const = default;
};

// The space that a row of an inode or name counts for, besides its text.
inline constexpr uint64_t kRowBytes = 256;

struct NameRow {
  InodeNumber directory;
  std::string name;  // any bytes but '/' and NUL
  InodeNumber ino;   // none: a whiteout
};

// Content of a sealed file: chunk i of part p covers the file's bytes from
// (p * kChunksPerPart + i) * kChunkBytes. Chunks past the last one of a file are left out.
inline constexpr uint64_t kChunksPerPart = 1024;
inline constexpr uint64_t kPartBytes = kChunksPerPart * kChunkBytes;
struct ManifestPartRow {
  std::vector<ChunkId> chunks;
  // For each chunk the pages that the layer holds, lowest bit first; the chunk has these, in their
  // order. Empty: every chunk is whole.
  std::vector<uint8_t> pages = {};
  bool operator==(const ManifestPartRow&) const = default;
};

struct FileOwner {
  uint32_t uid = 0;
  uint32_t gid = 0;
  bool operator==(const FileOwner&) const = default;
};

// The `protected_until` of a source that only its import has protected: never.
inline constexpr TimeNs kProtectedAsSource = INT64_MAX;

struct BranchRow {
  BranchId id;
  InstanceId instance;
  std::string name;
  LayerId head;
  InodeNumber root;
  // The branch it was cloned from; a source has neither name nor id. The name is the parent's
  // present one, or its last one if it was purged. A store of version 1 may not have known the id.
  BranchId parent;
  std::string parent_name;
  BookmarkId parent_bookmark;        // none if cloned from a branch's present state
  std::string parent_bookmark_name;  // without BRANCH@
  std::string owner;                 // user name
  TimeNs created_at = 0;
  std::optional<TimeNs> expires_at;
  bool is_protected = false;
  std::optional<TimeNs> protected_until;  // protection ends by itself then; empty: it does not
  std::string note;
  std::optional<uint64_t> quota_bytes;
  std::optional<uint16_t> port;      // kept for the branch's server; unique among those not deleted
  std::optional<TimeNs> deleted_at;  // in the trash since then
  LayerId first_layer;               // the lowest of its own: the head it last began with
  std::optional<FileOwner> shown_as;  // the owner reported for every file, if overridden
  // fsync does nothing. If the branch was not closed cleanly, the changes of its head are dropped.
  bool is_ephemeral = false;
  std::map<std::string, std::string> labels;
};

struct BookmarkRow {
  BranchId branch;
  std::string name;  // without BRANCH@
  LayerId layer;
  InodeNumber root;  // its top directory; its branch may have another one by now
  TimeNs created_at = 0;
  std::string note;
  std::optional<TimeNs> expires_at = {};
  BookmarkId id = {};
  bool is_scheduled = false;  // made by the daemon, which also thins them out
};

// The highest ids ever given, of each kind that may be used outside of the catalog.
struct GivenIds {
  LayerId layer;
  PackId pack;
  BranchId branch;
  InodeNumber ino;
  InstanceId instance;
};

// One line of the audit log: a verb, its caller and its outcome.
struct AuditRow {
  uint64_t id = 0;  // 1, 2, 3 ... without a gap; the oldest may have been trimmed
  TimeNs at = 0;
  uint32_t uid = 0;
  uint32_t pid = 0;  // 0: not known
  uint64_t duration_us = 0;
  std::string user;
  std::string verb;
  std::string subjects;  // the full names that it changed, one a line
  std::string source;    // the full name that it took a state from; may be empty
  std::string detail;    // its other arguments, as a JSON object
  std::string result;    // "done", or the code of the failure
  ChunkId hash;          // SHA-256 of all the above and of the hash of the row before
};

// Where a setting applies; the comment names its subject.
enum class SettingScope {
  kStore = 0,     // 0
  kSource = 1,    // inode number of the top directory of a tree's branches
  kBranch = 2,    // BranchId
  kBookmark = 3,  // BookmarkId
};

struct SettingRow {
  SettingScope scope = SettingScope::kStore;
  uint64_t subject = 0;
  std::string key;
  std::string value;
};

// A position in the audit log.
struct AuditHead {
  uint64_t count = 0;
  ChunkId hash;  // of row `count`; zeros when there is none

  bool operator==(const AuditHead&) const = default;
};

// How far a destination of the audit log has received it.
struct AuditMark {
  std::string destination;
  AuditHead last;
};

}  // namespace velafs::catalog
