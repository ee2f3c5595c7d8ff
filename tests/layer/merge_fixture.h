// A branch with files of every kind, and frozen layers that nothing needs for themselves.
#pragma once

#include <doctest/doctest.h>

#include <filesystem>

#include "tests/layer/volume_fixture.h"

namespace velafs::layer {

inline std::string Pages(char fill, size_t pages) { return std::string(pages * kPageBytes, fill); }

struct MergeFixture : VolumeFixture {
  static constexpr uint64_t kLastPage = (uint64_t{15} << 40) / kPageBytes - 1;

  MergeFixture() {
    MakeSource("main", {{"both", Pages('a', 8)},
                        {"lower", Pages('b', 8)},
                        {"upper", Pages('c', 8)},
                        {"gone", Pages('d', 4)},
                        {"cut", Pages('e', 8)},
                        {"none", Pages('f', 2)}});
  }

  void Write(const std::string& branch, const std::string& name, uint64_t page, char fill,
             size_t pages = 1) {
    const auto open = Open(branch);
    const InodeNumber ino = InodeOf(*open, name) ? InodeOf(*open, name) : MakeFile(*open, name);
    REQUIRE(open->Write(ino, page * kPageBytes, BytesOf(Pages(fill, pages))).ok());
  }
  void Cut(const std::string& branch, const std::string& name, uint64_t bytes) {
    const auto open = Open(branch);
    REQUIRE(open->Set(InodeOf(*open, name), {.size_bytes = bytes}).ok());
  }
  std::string PageOf(const std::string& branch, const std::string& name, uint64_t page) {
    const auto open = Open(branch);
    std::string content(kPageBytes, '?');
    const auto into = std::as_writable_bytes(std::span(content));
    REQUIRE(open->Read(InodeOf(*open, name), page * kPageBytes, into).ok());
    return content;
  }
  // Makes a file, if there is none, as large as a host has them, with two pages of data.
  void WriteSparse(const std::string& branch, const std::string& name) {
    Write(branch, name, kLastPage / 2, 'm');
    Write(branch, name, kLastPage, 'z');
  }
  void CheckSparse(const std::string& branch, const std::string& name) {
    CHECK(PageOf(branch, name, kLastPage / 2 - 1) == Pages('\0', 1));
    CHECK(PageOf(branch, name, kLastPage / 2) == Pages('m', 1));
    CHECK(PageOf(branch, name, kLastPage / 2 + 1) == Pages('\0', 1));
    CHECK(PageOf(branch, name, kLastPage - 1) == Pages('\0', 1));
    CHECK(PageOf(branch, name, kLastPage) == Pages('z', 1));
    const auto open = Open(branch);
    const InodeNumber ino = InodeOf(*open, name);
    CHECK(*open->Seek(ino, kPageBytes * 8, true) / kChunkBytes == kLastPage / 2 / kPagesPerChunk);
    CHECK(*open->Seek(ino, kPageBytes * (kLastPage / 2 + kPagesPerChunk), true) / kChunkBytes ==
          kLastPage / kPagesPerChunk);
  }
  void Unlink(const std::string& branch, const std::string& name) {
    const auto open = Open(branch);
    REQUIRE(open->Unlink(open->root(), name).ok());
  }
  // Freezes main, by way of a clone that goes at once.
  void Freeze() {
    REQUIRE(Clone("main", "passing").ok());
    REQUIRE(volume().Remove("passing", [](catalog::Writer&) { return Status(); }).ok());
  }
  // How many pairs were merged.
  int MergeAll() {
    for (int merges = 0;; ++merges) {
      const auto merge = LayerMerger::Start(volume());
      REQUIRE_MESSAGE(merge.ok(), merge.status().message());
      if (!*merge) return merges;
      const auto merged = (*merge)->Run([] { return true; });
      REQUIRE_MESSAGE(merged.ok(), merged.status().message());
    }
  }
  std::map<std::string, std::string> TreeOf(const std::string& name) {
    const auto branch = Open(name);
    std::vector<std::string> names;
    REQUIRE(branch
                ->List(branch->root(), 0,
                       [&](DirectoryCookie, const std::string& file, const Attributes&) {
                         names.push_back(file);
                         return true;
                       })
                .ok());
    std::map<std::string, std::string> tree;
    for (const std::string& file : names) tree[file] = ContentOf(*branch, file);
    return tree;
  }
  size_t Depth(const std::string& name) {
    size_t depth = 0;
    const LayerId head = HeadOf(name);
    REQUIRE(catalog()
                .Read([&](catalog::Reader& reader) -> Status {
                  VELAFS_ASSIGN(const auto chain, reader.Chain(head));
                  depth = chain.size();
                  return {};
                })
                .ok());
    return depth;
  }
  size_t DirectoriesOnDisk() {
    const std::filesystem::directory_iterator layers(directory() + "/layers");
    return static_cast<size_t>(std::distance(layers, std::filesystem::directory_iterator()));
  }

  // Two frozen layers with every kind of change, and a head.
  void MakeTwoLayers() {
    Write("main", "both", 1, '1', 3);
    Write("main", "lower", 2, '1', 2);
    Write("main", "gone", 0, '1');
    Write("main", "born", 0, '1', 4);
    Write("main", "born and gone", 0, '1', 4);
    Write("main", "holes", 9, '1');
    Write("main", "cut", 0, '1', 8);
    Cut("main", "cut", 5 * kPageBytes + 100);
    Freeze();
    Write("main", "both", 2, '2', 4);
    Write("main", "upper", 7, '2', 3);
    Write("main", "born", 3, '2', 3);
    Cut("main", "cut", 9 * kPageBytes);
    Unlink("main", "gone");
    Unlink("main", "born and gone");
    const auto main = Open("main");
    REQUIRE(main->Rename(main->root(), "lower", main->root(), "moved", RenameMode::kReplace).ok());
    Freeze();
    Write("main", "both", 3, '3');
    Write("main", "moved", 3, '3');
  }
};

}  // namespace velafs::layer
