// An inode of a live branch. Internal to Branch.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "velafs/base/mutex.h"
#include "velafs/catalog/catalog.h"
#include "velafs/layer/branch.h"
#include "velafs/layer/directory.h"
#include "velafs/layer/file_content.h"

namespace velafs::layer {

struct Branch::Inode {
  explicit Inode(InodeNumber number) : ino(number) {}

  bool IsDirectory() const;
  bool IsFile() const;

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
  // Of a directory: the directory it was last found in.
  std::atomic<InodeNumber> parent;
  std::atomic<catalog::CommitSequence> changed_at = 0;  // last change of row or names

  // Guards the content of a file. Of a directory it guards the pointer `names`, and namespace_
  // guards the names.
  SharedMutex content_lock;
  bool is_forgotten GUARDED_BY(content_lock) = false;  // a file that must be loaded anew
  std::optional<FileContent> content GUARDED_BY(content_lock);
  std::unique_ptr<Directory> names GUARDED_BY(content_lock);
};

}  // namespace velafs::layer
