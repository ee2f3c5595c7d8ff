// Lets SQLite keep its files on an os::Storage, so that what befalls that storage befalls the
// catalog too.
#pragma once

#include <string>

#include "velafs/os/storage.h"

namespace velafs::test {

// While it lives, databases whose path begins with `prefix` lie on `storage`; all others stay where
// they are. Connections of this process alone have such a database open. Both are borrowed.
class StorageForSqlite {
 public:
  StorageForSqlite(std::string prefix, os::Storage& storage);
  StorageForSqlite(const StorageForSqlite&) = delete;
  StorageForSqlite& operator=(const StorageForSqlite&) = delete;
  ~StorageForSqlite();

 private:
  const std::string prefix_;
};

}  // namespace velafs::test
