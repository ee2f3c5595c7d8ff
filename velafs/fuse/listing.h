// The answer to a READDIR or READDIRPLUS request, filled name by name.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "velafs/fuse/lowlevel.h"
#include "velafs/layer/directory.h"

namespace velafs::fuse {

// One thread.
class Listing {
 public:
  Listing(fuse_req_t request, size_t size_bytes, bool plus);

  // "." and "..", as far as `after` says they are still to come.
  void AddDots(uint64_t node_id, uint64_t parent_id, layer::DirectoryCookie after);
  // False if there is no room. Names come in the order of cookies; those that share one stay
  // together. A READDIRPLUS answer makes the kernel refer to the node, unless `refers` is false.
  bool Add(layer::DirectoryCookie cookie, const std::string& name, const struct stat& attributes,
           bool refers = true);

  // The names that fit, in whole groups only.
  std::span<const std::byte> Finish();
  // The nodes of a READDIRPLUS answer that the kernel now refers to once more. After Finish.
  const std::vector<uint64_t>& referred() const { return referred_; }

 private:
  fuse_req_t request_;
  const bool plus_;
  std::vector<char>& buffer_;  // this thread's
  const size_t size_;
  size_t used_ = 0;
  bool is_full_ = false;

  layer::DirectoryCookie group_ = 0;  // cookie of the last name
  size_t group_start_ = 0;            // where its first name begins
  size_t group_referred_ = 0;         // and how many nodes were referred to before it
  std::vector<uint64_t> referred_;
};

}  // namespace velafs::fuse
