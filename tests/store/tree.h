// A directory tree as text, from the host or from a branch, for comparison.
#pragma once

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <boost/filesystem.hpp>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "velafs/chunk/packs.h"
#include "velafs/layer/branch.h"
#include "velafs/layer/volume.h"

namespace velafs::test {

// By path below the root: type, mode, owner, links, mtime, and content or target.
using Tree = std::map<std::string, std::string>;

inline std::string TreeLine(uint32_t mode, uint32_t uid, uint32_t gid, uint64_t nlink, TimeNs mtime,
                            const std::string& content) {
  char text[160];
  std::snprintf(text, sizeof text, "%o %u:%u links %llu mtime %lld ", mode, uid, gid,
                static_cast<unsigned long long>(nlink), static_cast<long long>(mtime));
  return text + content;
}

inline std::string ContentOf(const std::string& bytes) {
  const auto all = std::as_bytes(std::span(bytes));
  return std::to_string(bytes.size()) + " bytes " + chunk::HashChunk(all).ToHex();
}

inline std::string ReadHostFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void AddHostTree(const std::string& path, const std::string& name, Tree* tree) {
  struct stat info;
  REQUIRE(lstat(path.c_str(), &info) == 0);
  std::string content;
  if (S_ISREG(info.st_mode)) content = ContentOf(ReadHostFile(path));
  if (S_ISLNK(info.st_mode)) content = boost::filesystem::read_symlink(path).string();
  const TimeNs mtime = TimeNs{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
  (*tree)[name] = TreeLine(info.st_mode, info.st_uid, info.st_gid, info.st_nlink, mtime, content);
  if (!S_ISDIR(info.st_mode)) return;
  for (const auto& entry : boost::filesystem::directory_iterator(path)) {
    const std::string child = entry.path().filename().string();
    AddHostTree(path + "/" + child, name.empty() ? child : name + "/" + child, tree);
  }
}

inline Tree TreeOfDirectory(const std::string& path) {
  Tree tree;
  AddHostTree(path, "", &tree);
  return tree;
}

inline std::string ReadBranchFile(layer::Branch& branch, const layer::Attributes& file) {
  std::string bytes(file.size_bytes, '?');
  const Result<size_t> got = branch.Read(file.ino, 0, std::as_writable_bytes(std::span(bytes)));
  REQUIRE_MESSAGE(got.ok(), got.status().message());
  REQUIRE(*got == bytes.size());
  return bytes;
}

inline void AddBranchTree(layer::Branch& branch, const layer::Attributes& node,
                          const std::string& name, Tree* tree) {
  std::string content;
  if (S_ISREG(node.mode)) content = ContentOf(ReadBranchFile(branch, node));
  if (S_ISLNK(node.mode)) {
    const Result<std::string> target = branch.ReadLink(node.ino);
    REQUIRE(target.ok());
    content = *target;
  }
  (*tree)[name] = TreeLine(node.mode, node.uid, node.gid, node.nlink, node.mtime, content);
  if (!S_ISDIR(node.mode)) return;
  std::vector<std::pair<std::string, layer::Attributes>> children;
  const Status listed = branch.List(
      node.ino, {},
      [&](layer::DirectoryCookie, const std::string& child, const layer::Attributes& attributes) {
        if (child != "." && child != "..") children.emplace_back(child, attributes);
        return true;
      });
  REQUIRE_MESSAGE(listed.ok(), listed.message());
  for (const auto& [child, attributes] : children) {
    AddBranchTree(branch, attributes, name.empty() ? child : name + "/" + child, tree);
  }
}

inline Tree TreeOfBranch(layer::Volume& volume, const std::string& name) {
  const auto branch = volume.Open(name);
  REQUIRE_MESSAGE(branch.ok(), branch.status().message());
  const auto root = (*branch)->Get((*branch)->root());
  REQUIRE_MESSAGE(root.ok(), root.status().message());
  Tree tree;
  AddBranchTree(**branch, *root, "", &tree);
  return tree;
}

}  // namespace velafs::test
