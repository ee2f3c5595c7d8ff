#include "velafs/layer/flat_index.h"

#include <algorithm>

namespace velafs::layer {

Result<FlatIndex::Run> FlatIndex::At(const std::vector<LayerContent>& layers, PageNumber page,
                                     uint64_t limit) {
  MutexLock lock(mutex_);
  const auto [found, is_new] = blocks_.try_emplace(page.value / kBlockPages);
  Block& block = found->second;
  if (is_new) {
    const PageNumber begin = page - page.value % kBlockPages;
    if (Status filled = Fill(layers, begin, &block); !filled.ok()) {
      blocks_.erase(found);
      return filled;
    }
  }
  const size_t first = page.value % kBlockPages;
  const size_t end = std::min<uint64_t>(kBlockPages, first + limit);
  size_t next = first + 1;
  while (next < end && block[next] == block[first]) ++next;
  return Run{block[first], next - first};
}

Status FlatIndex::Fill(const std::vector<LayerContent>& layers, PageNumber begin, Block* block) {
  constexpr Source kOpen = 0;  // the first layer is nobody's place here
  block->fill(kOpen);
  uint64_t open = kBlockPages;
  for (size_t source = 1; source < layers.size() && open > 0; ++source) {
    const LayerContent& layer = layers[source];
    const uint64_t inherited = layer.inherited_bytes();
    for (uint64_t at = 0; at < kBlockPages;) {
      VELAFS_ASSIGN(const PageMap::Run run, layer.RunAt(begin + at, kBlockPages - at));
      for (const uint64_t end = at + run.pages; at < end; ++at) {
        if ((*block)[at] != kOpen) continue;
        const uint64_t offset = (begin + at).OffsetBytes();
        if (run.held) {
          (*block)[at] = static_cast<Source>(source);
        } else if (offset >= inherited) {
          (*block)[at] = kZeros;
        } else if (offset + kPageBytes > inherited) {
          (*block)[at] = kMixed;
        } else {
          continue;
        }
        --open;
      }
    }
  }
  std::ranges::replace(*block, kOpen, kZeros);
  return {};
}

}  // namespace velafs::layer
