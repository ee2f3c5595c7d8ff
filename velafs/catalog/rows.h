// The catalog's records, as the rest of velafs sees them. FORMAT.md says how they are stored.
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
  uint64_t seals = 0;  // transactions by which content of it was sealed; not that of an import
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
  // Of a regular file whose pages in this layer have been sealed: how much of the file below is
  // still visible, as a page map says it. Empty: the layer has none, or was imported.
  std::optional<uint64_t> inherited_bytes = {};

  bool operator==(const InodeRow&) const = default;
};

// What a row of an inode, or of a name, counts for besides its text.
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
  // Which pages of each the layer holds, lowest bit first; the chunk is of these, in their order.
  // Empty: every chunk is whole.
  std::vector<uint8_t> pages = {};
  bool operator==(const ManifestPartRow&) const = default;
};

struct FileOwner {
  uint32_t uid = 0;
  uint32_t gid = 0;
  bool operator==(const FileOwner&) const = default;
};

// The `protected_until` of a source that nobody but its import has protected: no time that comes.
inline constexpr TimeNs kProtectedAsSource = INT64_MAX;

struct BranchRow {
  BranchId id;
  InstanceId instance;
  std::string name;
  LayerId head;
  InodeNumber root;
  // What it was cloned from. A source has neither name nor id. The name is the one the parent has
  // now, or had when it went for good; a store of version 1 may not have known the id.
  BranchId parent;
  std::string parent_name;
  BookmarkId parent_bookmark;        // none when cloned from a branch's present
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
  LayerId first_layer;               // the first that is its own: the head it last began with
  std::optional<FileOwner> shown_as;  // whose its files are shown to be, whoever owns them
  // fsync is answered at once. When it was not closed cleanly, the changes of its head are dropped.
  bool is_ephemeral = false;
  std::map<std::string, std::string> labels;
};

struct BookmarkRow {
  BranchId branch;
  std::string name;  // without BRANCH@
  LayerId layer;
  InodeNumber root;  // its top directory: that of its branch may be another by now
  TimeNs created_at = 0;
  std::string note;
  std::optional<TimeNs> expires_at = {};
  BookmarkId id = {};
  bool is_scheduled = false;  // made by the daemon, and thinned out by it
};

// The highest ids ever given, of each kind that may have left something outside of the catalog.
struct GivenIds {
  LayerId layer;
  PackId pack;
  BranchId branch;
  InodeNumber ino;
  InstanceId instance;
};

// One line of the audit log: who did what, and what came of it.
struct AuditRow {
  uint64_t id = 0;  // 1, 2, 3 ... without a gap; the oldest may have been trimmed
  TimeNs at = 0;
  uint32_t uid = 0;
  uint32_t pid = 0;  // 0: not known
  uint64_t duration_us = 0;
  std::string user;
  std::string verb;
  std::string subjects;  // what it was about, one full name a line
  std::string source;    // what it took a state from; may be empty
  std::string detail;    // its other arguments, as a JSON object
  std::string result;    // "done", or the code of the failure
  ChunkId hash;          // SHA-256 of all the above and of the hash of the row before
};

// Where a setting holds, and what its subject is.
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

// A point of the audit log: how far it reaches, say, or where it begins.
struct AuditHead {
  uint64_t count = 0;
  ChunkId hash;  // of row `count`; zeros when there is none

  bool operator==(const AuditHead&) const = default;
};

// How much of the audit log somebody has who is sent it.
struct AuditMark {
  std::string destination;
  AuditHead last;
};

}  // namespace velafs::catalog
