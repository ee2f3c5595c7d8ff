#include "velafs/layer/layer_tree.h"

#include <vector>

#include "tests/catalog/catalog_fixture.h"

namespace velafs::layer {
namespace {

using catalog::LayerState;
using catalog::Writer;

struct TreeFixture : catalog::CatalogFixture {
  LayerId Add(LayerId parent, LayerState state = LayerState::kFrozen) {
    return AddLayer(parent, state);
  }
  void AddBranchOn(const std::string& name, LayerId head) {
    AddBranch(SomeBranch(name, head, ++instances));
  }
  void SetSettled(LayerId layer, bool is_settled) {
    Write([&](Writer& writer) { return writer.SetLayerSettled(layer, is_settled); });
  }
  LayerTree Load() {
    LayerTree tree;
    Read([&](catalog::Reader& reader) { return tree.Load(reader); });
    return tree;
  }
  LayerTree LoadFrom(LayerId top) {
    LayerTree tree;
    Read([&](catalog::Reader& reader) { return tree.LoadFrom(reader, top); });
    return tree;
  }
  static std::vector<LayerId> OwnLayersIn(const LayerTree& tree, LayerId top) {
    std::vector<LayerId> ids;
    for (const catalog::LayerRow* row : tree.OwnLayers(top)) ids.push_back(row->id);
    return ids;
  }
  std::vector<LayerId> OwnLayers(LayerId top) {
    std::vector<LayerId> ids = OwnLayersIn(Load(), top);
    CHECK(OwnLayersIn(LoadFrom(top), top) == ids);
    return ids;
  }
  uint64_t LogicalBytes(LayerId top, bool* is_estimate) {
    const uint64_t bytes = Load().LogicalBytes(top, is_estimate);
    bool is_estimate_too = false;
    CHECK(LoadFrom(top).LogicalBytes(top, &is_estimate_too) == bytes);
    CHECK(is_estimate_too == *is_estimate);
    return bytes;
  }
  // The lower layer of the pair; none when there is no pair.
  LayerId LowerOfMerge(const std::set<LayerId>& left_out = {}) {
    const LayerTree tree = Load();
    const auto pair = tree.FindMerge(left_out);
    return pair ? pair->lower->id : LayerId();
  }
  LayerId Unsealed(TimeNs frozen_before, const std::set<LayerId>& left_out = {}) {
    const LayerTree tree = Load();
    const catalog::LayerRow* const found = tree.FindUnsealed(frozen_before, left_out);
    return found == nullptr ? LayerId() : found->id;
  }

  const LayerId base = Add({}, LayerState::kSealed);
  uint64_t instances = 0;
};

TEST_CASE_FIXTURE(TreeFixture, "a branch's own layers end where something else stands") {
  const LayerId shared = Add(base);
  const LayerId low = Add(shared);
  const LayerId head = Add(low, LayerState::kHead);
  const LayerId other = Add(shared, LayerState::kHead);
  AddBranchOn("main", head);
  AddBranchOn("other", other);
  CHECK(OwnLayers(head) == std::vector<LayerId>{head, low});
  CHECK(OwnLayers(other) == std::vector<LayerId>{other});
  CHECK(OwnLayers(LayerId(1000)).empty());
}

TEST_CASE_FIXTURE(TreeFixture, "the lowest two layers that only their heirs need are merged") {
  const LayerId lower = Add(base);
  const LayerId upper = Add(lower);
  const LayerId highest = Add(upper);
  AddBranchOn("main", Add(highest, LayerState::kHead));
  CHECK(LowerOfMerge() == lower);
  CHECK(LowerOfMerge({lower}) == upper);
  SetSettled(lower, false);
  CHECK(LowerOfMerge() == upper);
  SetSettled(highest, false);
  CHECK_FALSE(LowerOfMerge());
}

TEST_CASE_FIXTURE(TreeFixture,
                  "no import is merged, no head, and nothing that is needed for itself") {
  const LayerId needed = Add(base);
  AddBranchOn("main", Add(needed, LayerState::kHead));
  CHECK_FALSE(LowerOfMerge());
  const LayerId upper = Add(needed);
  AddBranchOn("dev", Add(upper, LayerState::kHead));
  CHECK_FALSE(LowerOfMerge());
}

TEST_CASE_FIXTURE(TreeFixture, "of frozen layers, those are sealed that stay") {
  const LayerId lower = Add(base);
  const LayerId upper = Add(lower);
  AddBranchOn("main", Add(upper, LayerState::kHead));
  AddBranchOn("dev", Add(upper, LayerState::kHead));
  const TimeNs now = NowNs();
  CHECK_FALSE(Unsealed(now));  // the two are to be merged
  SetSettled(lower, false);
  CHECK(Unsealed(now) == upper);
  CHECK_FALSE(Unsealed(now, {upper}));
  CHECK_FALSE(Unsealed(0));  // it was frozen later
  SetSettled(lower, true);
  AddBranchOn("low", Add(lower, LayerState::kHead));
  CHECK(Unsealed(now) == lower);
}

TEST_CASE_FIXTURE(TreeFixture, "the size of a state is that of the nearest layer that knows one") {
  const LayerId lower = Add(base);
  const LayerId head = Add(lower, LayerState::kHead);
  const auto set = [&](LayerId layer, std::optional<uint64_t> bytes) {
    Write([&](Writer& writer) { return writer.SetLayerLogicalBytes(layer, bytes); });
  };
  bool is_estimate = false;
  for (const LayerId layer : {base, lower, head}) set(layer, std::nullopt);
  CHECK(LogicalBytes(head, &is_estimate) == 0);
  CHECK(is_estimate);
  set(base, 7);
  CHECK(LogicalBytes(head, &is_estimate) == 7);
  CHECK(is_estimate);
  set(head, 9);
  CHECK(LogicalBytes(head, &is_estimate) == 9);
  CHECK_FALSE(is_estimate);
}

}  // namespace
}  // namespace velafs::layer
