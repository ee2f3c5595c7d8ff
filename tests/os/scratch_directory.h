// A directory of a test's own, removed with all in it.
#pragma once

#include <cstdlib>
#include <string>

#include "velafs/base/check.h"
#include "velafs/os/storage.h"

namespace velafs::test {

class ScratchDirectory {
 public:
  ScratchDirectory() {
    const char* base = std::getenv("TMPDIR");
    path_ = std::string(base != nullptr ? base : "/tmp") + "/velafs-test-XXXXXX";
    VELAFS_CHECK(mkdtemp(path_.data()) != nullptr);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory() { (void)os::HostStorage().RemoveTree(path_); }

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace velafs::test
