// Which of many layers a page of a file is read from.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/base/mutex.h"
#include "velafs/base/status.h"
#include "velafs/layer/layer_content.h"

namespace velafs::layer {

// Indexes the layers of one file from the second on, which never change; the first may be the
// head's. Filled as pages are asked for, 4 MiB of the file at a time, 2 bytes for each page.
// Thread-safe.
class FlatIndex {
 public:
  using Source = uint16_t;  // a place in the file's layers, or one of these:
  static constexpr Source kZeros = UINT16_MAX;
  static constexpr Source kMixed = UINT16_MAX - 1;  // a page that is cut somewhere on the way down
  static constexpr size_t kMostLayers = kMixed;

  struct Run {
    Source source;
    uint64_t pages;
  };
  // The source of `page`, and how many pages from it on have the same one: at most `limit`, > 0.
  Result<Run> At(const std::vector<LayerContent>& layers, PageNumber page, uint64_t limit);

 private:
  static constexpr uint64_t kBlockPages = 512;
  using Block = std::array<Source, kBlockPages>;

  static Status Fill(const std::vector<LayerContent>& layers, PageNumber begin, Block* block);

  Mutex mutex_;
  std::map<uint64_t, Block> blocks_ GUARDED_BY(mutex_);
};

}  // namespace velafs::layer
