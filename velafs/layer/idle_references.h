// The kernel's references to inodes of a branch that are not in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "velafs/base/ids.h"

namespace velafs::layer {

// Eight bytes an inode, and 16 more a directory: the kernel may remember millions. Externally
// synchronised.
class IdleReferences {
 public:
  struct Reference {
    InodeNumber ino;
    uint64_t lookups = 0;  // how many references; at least one, and at most kMostLookups
    bool is_file = false;
    InodeNumber parent = {};  // of a directory the one it was last found in; else none
  };
  static constexpr int kLookupBits = 63 - kInodeBits;
  static constexpr uint64_t kMostLookups = (uint64_t{1} << kLookupBits) - 1;

  // Adds references to inodes that it has none to. Takes as long as there are references in all:
  // to be called for many at a time.
  void Add(const std::vector<Reference>& added);
  // Removes and returns those to an inode, if there are any.
  std::optional<Reference> Extract(InodeNumber ino);
  // Removes `count` references to an inode: whether none is left.
  bool Forget(InodeNumber ino, uint64_t count);
  // The regular files that there are references to.
  std::vector<InodeNumber> Files() const;
  bool IsEmpty() const { return used_ == 0; }
  size_t bytes() const;
  void Clear();

 private:
  using Parent = std::pair<InodeNumber, InodeNumber>;  // of a directory, and the directory

  std::vector<uint64_t>::iterator Find(InodeNumber ino);
  void Remove(std::vector<uint64_t>::iterator word);

  // By inode number, each a word: the number, whether it is a file, and how many references there
  // are. A word with none is not used any more: it goes with the next Add.
  std::vector<uint64_t> words_;
  std::vector<Parent> parents_;  // by directory
  size_t used_ = 0;
};

}  // namespace velafs::layer
