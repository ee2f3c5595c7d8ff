// An inode of a live branch. Internal to Branch.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "velafs/base/mutex.h"
#include "velafs/catalog/catalog.h"
#include "velafs/layer/branch.h"
#include "velafs/layer/directory.h"
#include "velafs/layer/file_content.h"
#include "velafs/layer/idle_references.h"

namespace velafs::layer {

struct Branch::Inode {
  // About what an inode, and a name in a directory, take in memory.
  static constexpr size_t kInodeBytes = 512;
  static constexpr size_t kNameBytes = 112;

  // `loaded_bytes` counts what the inode takes; outlives it.
  Inode(InodeNumber number, std::atomic<size_t>& loaded_bytes)
      : ino(number), loaded_bytes_(loaded_bytes) {
    loaded_bytes_ += counted_bytes_;
  }
  ~Inode() { loaded_bytes_ -= counted_bytes_; }
  Inode(const Inode&) = delete;
  Inode& operator=(const Inode&) = delete;

  bool IsDirectory() const;
  bool IsFile() const;
  void NoteUse(uint32_t round) {
    if (last_used == round) return;
    last_used = round;
    is_used_again = true;
  }
  // What is left of it when it leaves memory.
  IdleReferences::Reference References() const;
  const InodeNumber ino;

  // Guarded by the branch's namespace_.
  catalog::InodeRow row;
  LayerId row_layer;   // where `row` is from
  LayerId born_layer;  // where the inode was made

  // Set once, when the last name goes.
  std::atomic<bool> is_gone = false;
  LayerId gone_layer;
  catalog::CommitSequence gone_commit = 0;

  std::atomic<uint64_t> lookups = 0;    // the kernel's references
  std::atomic<uint32_t> last_used = 0;  // the branch's round
  // In a later round than that in which it came into memory: by more than a walk.
  std::atomic<bool> is_used_again = false;
  // Of a directory: the directory it was last found in.
  std::atomic<InodeNumber> parent;
  std::atomic<catalog::CommitSequence> changed_at = 0;  // last change of row or names

  // Guards the content of a file. Of a directory it guards the pointer `names`, and namespace_
  // guards the names.
  SharedMutex content_lock;
  bool is_forgotten GUARDED_BY(content_lock) = false;  // a file that must be loaded anew
  std::optional<FileContent> content GUARDED_BY(content_lock);
  std::unique_ptr<Directory> names GUARDED_BY(content_lock);
  // Of a directory: to be called when its names have been loaded or changed.
  void CountNames() REQUIRES(content_lock);

 private:
  std::atomic<size_t>& loaded_bytes_;
  size_t counted_bytes_ = kInodeBytes;  // of it
};

}  // namespace velafs::layer
