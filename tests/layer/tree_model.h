// What a branch shows of names and attributes, as a map of paths.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "velafs/layer/branch.h"

namespace velafs::layer {

struct TreeEntry {
  InodeNumber ino;  // none: of a creation that failed, which may have got any number
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t nlink = 0;
  std::string target = {};

  bool IsDirectory() const;
  bool IsFile() const;
};

// By path from the root, which is "". A name in a directory "a" is "a/name", one in the root
// "name".
class TreeModel {
 public:
  using Entries = std::map<std::string, TreeEntry>;

  static TreeModel WithRoot(InodeNumber root);
  // What the branch shows.
  static Result<TreeModel> Read(Branch& branch);

  const Entries& entries() const { return entries_; }
  bool Contains(const std::string& path) const { return entries_.contains(path); }
  const TreeEntry& At(const std::string& path) const { return entries_.at(path); }
  bool HasNamesIn(const std::string& directory) const;

  // Changes that are possible, which the caller has seen to. Link counts follow.
  void Add(const std::string& path, const TreeEntry& entry);
  void Remove(const std::string& path);
  void Rename(const std::string& from, const std::string& to, RenameMode mode);
  void SetAttributes(InodeNumber ino, const AttributeChange& change);

  // The same names with the same attributes.
  bool Matches(const TreeModel& other) const;
  // The first path that differs, for messages.
  std::string FirstDifference(const TreeModel& other) const;

 private:
  void CountLinks();
  // Takes the entry and, of a directory, all below it.
  Entries Extract(const std::string& path);

  Entries entries_;
};

std::string ParentPath(const std::string& path);
std::string NameOf(const std::string& path);
std::string JoinPath(const std::string& directory, const std::string& name);
// Whether it is `directory`, or lies below it.
bool IsWithin(const std::string& path, const std::string& directory);

}  // namespace velafs::layer
