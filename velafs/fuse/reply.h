// The answers to requests. An operation returns one, and only Send talks to the kernel: exactly
// once a request, after all locks are gone.
#pragma once

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/fuse/lowlevel.h"
#include "velafs/layer/branch.h"

namespace velafs::fuse {

struct Done {};
struct NoAnswer {};
struct AttributesReply {
  struct stat attributes;
};
// The kernel holds one reference more to the inode, unless it could not take the answer.
struct EntryReply {
  fuse_entry_param entry;
  std::shared_ptr<layer::Branch> branch;
  InodeNumber ino;
};
struct NoEntry {};  // there is no such name, and the kernel may remember that
struct Bytes {
  std::span<const std::byte> bytes;  // valid until Send returns
};
// The kernel holds one reference more to each inode, unless it could not take the answer.
struct ListingReply {
  std::span<const std::byte> bytes;  // valid until Send returns
  std::shared_ptr<layer::Branch> branch;
  std::vector<InodeNumber> inodes;
};
struct Text {
  std::string text;
};
struct Written {
  size_t bytes;
};
struct Position {
  uint64_t offset_bytes;
};
struct OpenedDirectory {
  bool is_cached;  // the kernel caches the listing for later callers
};
struct Space {
  struct statvfs space;
};

using Reply = std::variant<Done, NoAnswer, AttributesReply, EntryReply, NoEntry, Bytes,
                           ListingReply, Text, Written, Position, OpenedDirectory, Space>;

void Send(fuse_req_t request, const Reply& reply);

// How long the kernel may cache names and attributes. Long, since it makes all changes itself.
inline constexpr double kCacheSeconds = 86400;

struct stat ToStat(uint64_t node_id, const layer::Attributes& attributes);

}  // namespace velafs::fuse
