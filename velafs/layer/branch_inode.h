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
  LayerId row_layer;   // that says `row`
  LayerId born_layer;  // where the inode came to be

  // Set once, when the last name has gone.
  std::atomic<bool> is_gone = false;
  LayerId gone_layer;
  catalog::CommitSequence gone_commit = 0;

  std::atomic<uint64_t> lookups = 0;    // the kernel's references
  std::atomic<uint32_t> last_used = 0;  // the branch's round
  // Of a directory: where it was last seen. The kernel knows none that was not seen somewhere.
  std::atomic<InodeNumber> parent;
  std::atomic<catalog::CommitSequence> changed_at = 0;  // last change of row or names

  // Guards the content of a file; of a directory only that `names` is made once: what is in it is
  // guarded by namespace_.
  SharedMutex content_lock;
  bool is_forgotten GUARDED_BY(content_lock) = false;  // of a file: it is to be found anew
  std::optional<FileContent> content GUARDED_BY(content_lock);
  std::unique_ptr<Directory> names GUARDED_BY(content_lock);
};

}  // namespace velafs::layer
