// One branch as a live filesystem tree: every operation a mount needs, by inode number.
//
// Lock order: gate_, namespace_, inodes_lock_, an inode's content_lock, then those of layers and
// files below. ARCHITECTURE.md has the whole order.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "velafs/base/byte_range.h"
#include "velafs/base/ids.h"
#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"
#include "velafs/layer/allowance.h"
#include "velafs/layer/chain.h"
#include "velafs/layer/directory.h"
#include "velafs/layer/file_content.h"
#include "velafs/layer/idle_references.h"
#include "velafs/layer/layer.h"

namespace velafs::layer {

struct Attributes {
  InodeNumber ino;
  uint32_t mode = 0;
  uint32_t nlink = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t rdev = 0;
  uint64_t size_bytes = 0;
  uint64_t allocated_bytes = 0;
  TimeNs atime = 0;
  TimeNs mtime = 0;
  TimeNs ctime = 0;
};

// The attributes to change; the others stay.
struct AttributeChange {
  std::optional<uint32_t> mode = {};  // permission bits
  std::optional<uint32_t> uid = {};
  std::optional<uint32_t> gid = {};
  std::optional<uint64_t> size_bytes = {};
  std::optional<TimeNs> atime = {};
  std::optional<TimeNs> mtime = {};
};

// A new inode: its kind and its owner.
struct NewNode {
  uint32_t mode = 0;  // type and permissions
  uint32_t uid = 0;   // the caller's; a setgid directory gives its own group
  uint32_t gid = 0;
  uint64_t rdev = 0;
  std::string target = {};  // of a symbolic link
};

enum class RenameMode { kReplace, kNoReplace, kExchange };

// Thread-safe. Failures carry the errno for the caller: ESTALE for an inode that is no more.
class Branch {
 public:
  // Opens the branch as the catalog has it. Recovers its layers that are not settled.
  static Result<std::shared_ptr<Branch>> Open(BranchHost& host, const catalog::BranchRow& row);

  InstanceId instance() const { return instance_; }
  InodeNumber root() const { return root_; }
  // The owner reported for every file, if overridden (`clone --as-user`). The layers have the real
  // owners.
  const std::optional<catalog::FileOwner>& shown_as() const { return shown_as_; }

  // Names.
  Result<Attributes> Lookup(InodeNumber directory, std::string_view name);
  Result<Attributes> Make(InodeNumber directory, std::string_view name, const NewNode& node);
  Result<Attributes> Link(InodeNumber ino, InodeNumber directory, std::string_view name);
  Status Unlink(InodeNumber directory, std::string_view name);
  Status RemoveDirectory(InodeNumber directory, std::string_view name);
  Status Rename(InodeNumber from, std::string_view from_name, InodeNumber to,
                std::string_view to_name, RenameMode mode);
  Result<std::string> ReadLink(InodeNumber ino);
  // Calls `visit` for each name after `after`, in order, until it returns false.
  using DirectoryVisit =
      std::function<bool(DirectoryCookie, const std::string& name, const Attributes&)>;
  Status List(InodeNumber directory, DirectoryCookie after, const DirectoryVisit& visit);
  // The directory that `directory` is in; none for the root.
  Result<InodeNumber> Parent(InodeNumber directory);

  // Attributes.
  Result<Attributes> Get(InodeNumber ino);
  // An empty change counts too: it sets the time of change to now.
  Result<Attributes> Set(InodeNumber ino, const AttributeChange& change);

  // Content of regular files; EISDIR or EINVAL for others.
  // Reads until `into` is full or the file ends; returns the bytes read.
  Result<size_t> Read(InodeNumber ino, uint64_t offset_bytes, std::span<std::byte> into);
  Status Write(InodeNumber ino, uint64_t offset_bytes, std::span<const std::byte> data);
  Status Allocate(InodeNumber ino, ByteRange range, bool keep_size);
  // The file is at least that long; what is new of it reads as zeros.
  Status Extend(InodeNumber ino, uint64_t size_bytes);
  Status Zero(InodeNumber ino, ByteRange range, bool keep_size);
  Result<uint64_t> Seek(InodeNumber ino, uint64_t offset_bytes, bool for_data);

  // Makes durable a file's content, its attributes and the names that lead to it, or a directory's
  // names. After a failure the branch stays failed until it is opened anew. Does nothing on an
  // ephemeral branch.
  Status Sync(InodeNumber ino, os::SyncKind kind);

  // Count the kernel's references to an inode: while it has some, a file without a name lives on.
  void Retain(InodeNumber ino, uint64_t count = 1);
  // Whether that was the last one.
  bool Forget(InodeNumber ino, uint64_t count);
  // The regular files that the kernel refers to: those it may hold written pages of.
  std::vector<InodeNumber> ReferredFiles();

  // For the volume.
  // Freezes: holds off every change, lets `commit` do the catalog's part, and goes on with the head
  // it returns. An empty result leaves the head as it is.
  struct HeadState {
    LayerId head;
    LayerId parent;  // none when there is no layer below
    bool is_empty;
    std::optional<uint64_t> logical_bytes;
  };
  struct NewHead {
    LayerId id;
    catalog::CommitSequence commit;
  };
  Status ReplaceHead(const std::function<Result<std::optional<NewHead>>(const HeadState&)>& commit);
  // Makes all that was written durable. `closing`: and notes that the head was closed cleanly.
  Status SyncAll(bool closing);
  Status SyncOld(TimeNs older_than);
  // Whether nothing needs to be durable before a freeze or a clean end. See BranchRow.
  bool is_ephemeral() const { return is_ephemeral_; }
  // Runs `commit` with every change held off and, if `durable`, all that was written on disk. If it
  // succeeds, every operation answers ESTALE from then on, and no change is under way on return.
  Status EndInstance(bool durable, const std::function<Status(const HeadState&)>& commit);
  // The layers in which open files lost their last name. Such a file may still be read from its
  // layer, though the layer's names do not show it.
  std::vector<LayerId> GoneLayers();
  // For when content of these files has moved out of `layer`, or out of its page files. If the
  // layer is in the branch's chain, the branch loads its chain anew and forgets these files: they
  // are loaded anew at their next use. A branch that fails here stays failed.
  Status FollowMove(LayerId layer, const std::vector<InodeNumber>& files);
  // The inode's row as the nearest layer would have it now.
  Result<catalog::InodeRow> RowOf(InodeNumber ino);
  void SetName(const std::string& name);
  std::string name();
  // How much its own layers, from `first_layer` of its row on, may take on disk. Operations that
  // would need more fail with EDQUOT; those that need no more space go on. Writes at the same
  // moment may exceed it.
  void SetQuota(std::optional<uint64_t> bytes) {
    allowance_.SetQuota(bytes);
    name_allowance_.SetQuota(bytes);
  }
  // While growth is blocked, operations that need more space fail with EDQUOT.
  void BlockGrowth(bool blocked) { allowance_.Close(blocked); }
  Result<uint64_t> LogicalBytes();
  std::vector<std::shared_ptr<Layer>> Layers();  // nearest first
  uint64_t generation();                         // of its chain
  // Inodes in memory.
  size_t KnownInodes();
  // About how much memory they and their names take.
  size_t loaded_bytes() const { return loaded_bytes_; }
  // How much the kernel's references to inodes that are not in memory take.
  size_t ReferenceBytes();
  // Begins the next round that DropIdle counts.
  void BeginRound() { ++round_; }
  // Drops from memory the inodes that nobody has used for `rounds` rounds, or for `lasting_rounds`
  // if they are directories or were used in several rounds, and returns how many there were. The
  // kernel's node ids of them stay good: an inode is loaded anew at its next use.
  size_t DropIdle(uint32_t rounds, uint32_t lasting_rounds);
  size_t DropIdle(uint32_t rounds) { return DropIdle(rounds, rounds); }

 private:
  struct Inode;
  using InodePtr = std::shared_ptr<Inode>;
  // What a change writes: new rows for inodes, and names. It goes to the catalog in one
  // transaction, then to memory.
  struct RowChange {
    InodePtr inode;
    catalog::InodeRow row;
  };
  struct NameChange {
    InodePtr directory;
    std::string name;
    InodeNumber ino;  // none: the name goes
  };

  Branch(BranchHost& host, const catalog::BranchRow& row);
  Status LoadChain(LayerId head);

  Status CheckAlive() const;       // ESTALE once the instance has ended
  Status CheckChangeable() const;  // and EIO once an fsync has failed
  // Before the first change since the head was made or opened: notes that it is not closed cleanly.
  Status NoteChange() REQUIRES_SHARED(gate_);
  // Makes durable what the layers hold, with every change held off.
  Status SyncHeldOff() REQUIRES(gate_) REQUIRES(namespace_);

  // ESTALE if there is no such inode.
  Result<InodePtr> Find(InodeNumber ino) REQUIRES_SHARED(namespace_);
  Result<InodePtr> Load(InodeNumber ino) REQUIRES_SHARED(namespace_);
  // One attempt of Load; void if content has moved meanwhile.
  Result<InodePtr> TryLoad(InodeNumber ino) REQUIRES_SHARED(namespace_);
  Result<FileContent> LoadContent(const Inode& inode) REQUIRES_SHARED(namespace_);
  // Adds the kernel's references to it to `references`.
  Status ForgetLoaded(InodeNumber ino, std::vector<IdleReferences::Reference>* references)
      REQUIRES(namespace_) REQUIRES(inodes_lock_);
  // A regular file. Locks namespace_ if it is not in memory.
  Result<InodePtr> FindFile(InodeNumber ino) EXCLUDES(namespace_);
  InodePtr FindKnown(InodeNumber ino);
  // A path of the inode from the top directory on, or its number if none is found.
  std::string PathOf(InodeNumber ino) EXCLUDES(namespace_);
  // A directory, and a path from the top directory on: of an inode, the directory that it is in.
  struct Place {
    InodeNumber directory;
    std::string path;
  };
  // Goes through all names until it has found one of the inode.
  std::optional<Place> FindPlace(InodeNumber ino) REQUIRES_SHARED(namespace_);
  Result<InodePtr> FindDirectory(InodeNumber ino) REQUIRES_SHARED(namespace_);
  Result<Directory*> NamesOf(Inode& directory) REQUIRES_SHARED(namespace_);
  Result<Directory*> NamesForChange(Inode& directory) REQUIRES(namespace_);
  Result<Attributes> AttributesOf(Inode& inode) REQUIRES_SHARED(namespace_);
  // The inode's row with size and times as they are now.
  Result<catalog::InodeRow> CurrentRow(Inode& inode) REQUIRES_SHARED(namespace_)
      REQUIRES_SHARED(gate_);

  // Makes durable what the layers below the head have of a file, which is nothing to do but while a
  // freeze is under way: a row in the head has the size that they give the file, and a power cut
  // must not take what that size is of.
  Status SyncBelowHead(Inode& inode) REQUIRES(namespace_) REQUIRES_SHARED(gate_);
  Status Commit(const std::vector<RowChange>& rows, const std::vector<NameChange>& names)
      REQUIRES(namespace_) REQUIRES_SHARED(gate_);
  static Status WriteRow(catalog::Writer& writer, LayerId head, const RowChange& change);
  // In memory, after the commit.
  void ApplyRow(const RowChange& change, catalog::CommitSequence commit) REQUIRES(namespace_)
      REQUIRES_SHARED(gate_);
  Status RemoveName(InodeNumber directory, std::string_view name, bool is_directory);
  Status CheckReplaceable(Inode& moved, Inode& replaced) REQUIRES_SHARED(namespace_);
  // How a rename of `moved` changes the inode that has the new name.
  Result<RowChange> ChangeReplaced(InodeNumber ino, Inode& moved, RenameMode mode, TimeNs now)
      REQUIRES_SHARED(namespace_) REQUIRES_SHARED(gate_);
  // If an inode has no name and the kernel has no reference: drops it, and removes its page files.
  void DropIfGone(const InodePtr& inode) REQUIRES(inodes_lock_);
  Result<uint64_t> SumSizes() REQUIRES_SHARED(namespace_);
  // Runs a change of a file's content with the locks it needs.
  Status ChangeContent(InodeNumber ino,
                       const std::function<Status(FileContent&, Layer& head)>& change);
  // The same for a change that takes `new_bytes` more space: EDQUOT beyond the branch's allowance.
  using NewBytes = std::function<Result<uint64_t>(const FileContent&, const Layer& head)>;
  Status GrowContent(InodeNumber ino, const NewBytes& new_bytes,
                     const std::function<Status(FileContent&, Layer& head)>& change);
  Status CountSpace();
  // EDQUOT if the allowance for names has no room for a new name of `text_bytes` and its inode.
  Status ClaimNameBytes(uint64_t text_bytes) REQUIRES_SHARED(namespace_);
  Result<HeadState> DescribeHead() REQUIRES(gate_) REQUIRES_SHARED(namespace_);
  Status Fail(Status status);                            // the branch has failed for good
  Status SyncFailed(const Layer& layer, Status status);  // the same, unless it may be tried again
  std::string QuotedName();                              // for messages

  BranchHost& host_;
  const InstanceId instance_;
  const InodeNumber root_;
  const std::optional<catalog::FileOwner> shown_as_;
  const LayerId first_layer_;
  const bool is_ephemeral_;
  Allowance allowance_;
  // Names have an allowance of their own, as large: a branch without space for content can still
  // make the names it needs to remove some.
  Allowance name_allowance_;

  Mutex name_lock_;
  std::string name_ GUARDED_BY(name_lock_);  // as messages have it

  // Shared by every change, exclusive to a freeze. chain_ and head_ change only under both it and
  // namespace_.
  SharedMutex gate_;
  SharedMutex namespace_;  // guards names, attributes and link counts of all inodes
  ChainPtr chain_ GUARDED_BY(namespace_);
  std::shared_ptr<Layer> head_ GUARDED_BY(gate_);

  std::atomic<size_t> loaded_bytes_ = 0;
  Mutex inodes_lock_;
  std::unordered_map<InodeNumber, InodePtr> inodes_ GUARDED_BY(inodes_lock_);
  IdleReferences references_ GUARDED_BY(inodes_lock_);  // to inodes that are not in inodes_
  std::atomic<uint32_t> round_ = 0;

  std::atomic<bool> is_failed_ = false;
  std::atomic<bool> has_ended_ = false;
  std::atomic<bool> is_change_noted_ = false;
  std::atomic<bool> is_base_durable_ = false;  // base_commit_ is
  // The commit that made the head: every fsync makes it durable besides its own inode's.
  std::atomic<catalog::CommitSequence> base_commit_ = 0;
  std::atomic<bool> knows_logical_bytes_ = false;
  std::atomic<uint64_t> logical_bytes_ = 0;
};

}  // namespace velafs::layer
