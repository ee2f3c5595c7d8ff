// Requests turned into layer calls. Each operation returns the answer, or the Status whose errno is
// the answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "velafs/base/status.h"
#include "velafs/base/units.h"
#include "velafs/fuse/idle_polling.h"
#include "velafs/fuse/lost_writes.h"
#include "velafs/fuse/lowlevel.h"
#include "velafs/fuse/name_rules.h"
#include "velafs/fuse/reply.h"
#include "velafs/fuse/request_reader.h"
#include "velafs/fuse/trouble_log.h"
#include "velafs/layer/branch.h"
#include "velafs/store/mounted_store.h"

namespace velafs::fuse {

// Thread-safe.
class Operations {
 public:
  explicit Operations(const store::MountedStore& store);
  // May be null. Before the first operation.
  void SetIdlePolling(std::unique_ptr<IdlePolling> idle_polling) {
    idle_polling_ = std::move(idle_polling);
  }

  // Whether the kernel caches writes. Before the first operation.
  static constexpr TimeNs kTimeGranularity = 10'000'000;  // if it does
  void SetWriteCached(bool is_write_cached);
  bool is_write_cached() const { return is_write_cached_; }
  // Borrowed. Before the first operation.
  void SetLostWrites(LostWrites* lost_writes) { lost_writes_ = lost_writes; }

  // For fuse_session_new, with an Operations as userdata.
  static const fuse_lowlevel_ops& Callbacks();
  // Has such a session, which is mounted, read requests by few threads at a time.
  static Status SetTransport(fuse_session* session);

  // Before each operation.
  void CountRequest() {
    if (idle_polling_) idle_polling_->CountRequest();
  }

  // Call it after a failed operation on the node: logs a full disk, a used-up quota, damage and
  // disk errors.
  void TellTrouble(fuse_ino_t node, const Status& failure);

  Result<Reply> Lookup(fuse_ino_t parent, const char* name);
  Result<Reply> Forget(fuse_ino_t node, uint64_t count);
  Result<Reply> GetAttributes(fuse_ino_t node);
  Result<Reply> SetAttributes(fuse_ino_t node, const struct stat& wanted, int which);
  Result<Reply> ReadLink(fuse_ino_t node);
  // `process`, here and below, is the caller's.
  Result<Reply> Make(fuse_ino_t parent, const char* name, const layer::NewNode& made,
                     pid_t process);
  Result<Reply> Unlink(fuse_ino_t parent, const char* name, pid_t process);
  Result<Reply> RemoveDirectory(fuse_ino_t parent, const char* name);
  Result<Reply> Rename(fuse_ino_t from, const char* from_name, fuse_ino_t to, const char* to_name,
                       unsigned flags, pid_t process);
  Result<Reply> Link(fuse_ino_t node, fuse_ino_t parent, const char* name);
  Result<Reply> Read(fuse_ino_t node, size_t size, off_t offset);
  // `from_cache`: the program that wrote it goes on already.
  Result<Reply> Write(fuse_ino_t node, std::span<const std::byte> data, off_t offset,
                      bool from_cache);
  Result<Reply> Sync(fuse_ino_t node, bool data_only);
  Result<Reply> Allocate(fuse_ino_t node, int mode, off_t offset, off_t length);
  Result<Reply> Seek(fuse_ino_t node, off_t offset, int whence);
  Result<Reply> OpenDirectory(fuse_ino_t node);
  Result<Reply> List(fuse_req_t request, fuse_ino_t node, size_t size, off_t offset, bool plus);
  Result<Reply> StatFs();

 private:
  struct Place {
    std::shared_ptr<layer::Branch> branch;
    InodeNumber ino;
  };
  // Where a node is; EPERM for the root, whose names are the branches.
  Result<Place> Find(fuse_ino_t node);
  Result<Reply> Entry(const Place& place, const layer::Attributes& attributes);
  // The attributes of a branch's inode, as the kernel gets them.
  static struct stat Shown(const layer::Branch& branch, const layer::Attributes& attributes);
  Result<Reply> ListBranches(fuse_req_t request, size_t size, off_t offset, bool plus);
  layer::Attributes RootAttributes() const;

  const store::MountedStore store_;
  NameRules rules_;
  const TimeNs mounted_at_;
  std::unique_ptr<IdlePolling> idle_polling_;
  bool is_write_cached_ = false;
  LostWrites* lost_writes_ = nullptr;
  RequestReader reader_;
  TroubleLog trouble_log_;
};

}  // namespace velafs::fuse
