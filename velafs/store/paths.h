// Where a store keeps its parts.
#pragma once

#include <string>
#include <utility>

namespace velafs::store {

// The host paths of a store's parts.
struct StorePaths {
  explicit StorePaths(std::string store_directory) : root(std::move(store_directory)) {}
  std::string root;
  std::string Catalog() const { return root + "/catalog.db"; }
  std::string Copies() const { return root + "/copies"; }
  std::string LostAndFound() const { return root + "/lost+found"; }
  std::string Packs() const { return root + "/packs"; }
  std::string Layers() const { return root + "/layers"; }
  std::string Reserve() const { return root + "/reserve"; }
  std::string Run() const { return root + "/run"; }
  std::string Lock() const { return root + "/run/lock"; }
  std::string Socket() const { return root + "/run/api.sock"; }
  std::string Log() const { return root + "/run/velafs.log"; }
  std::string DefaultMountpoint() const { return root + "/mnt"; }
};

}  // namespace velafs::store
