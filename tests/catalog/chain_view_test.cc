#include "velafs/catalog/chain_view.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "tests/catalog/catalog_fixture.h"

namespace velafs::catalog {
namespace {

TEST_CASE_FIXTURE(CatalogFixture, "a chain shows its own rows, however many others there are") {
  constexpr uint64_t kOthers = 100;
  const InodeNumber directory(1);
  const LayerId base = AddLayer({}, LayerState::kSealed);
  const auto put = [&](LayerId layer, uint64_t links, const std::string& name) {
    Write([&](Writer& writer) -> Status {
      InodeRow row;
      row.ino = directory;
      row.mode = S_IFDIR | 0700;
      row.nlink = static_cast<uint32_t>(links);
      row.born_here = layer == base;
      VELAFS_TRY(writer.PutInode(layer, row));
      return writer.PutName(layer, {directory, name, InodeNumber(7)});
    });
  };
  put(base, 1000, "base");
  std::vector<LayerId> heads;
  for (uint64_t i = 0; i < kOthers; ++i) {
    heads.push_back(AddLayer(base));
    put(heads.back(), 2000 + i, "name" + std::to_string(i));
  }
  const LayerId unchanged = AddLayer(base);

  const auto check = [&](const std::vector<LayerId>& layers, uint64_t links, LayerId row_layer,
                         const std::vector<std::string>& names) {
    const ChainOrder order(layers);
    Read([&](Reader& reader) -> Status {
      ChainView view(reader, order);
      VELAFS_ASSIGN(const auto found, view.Inode(directory));
      REQUIRE(found);
      CHECK(found->row.nlink == links);
      CHECK(found->row_layer == row_layer);
      CHECK(found->born_layer == base);
      std::vector<std::string> seen;
      VELAFS_TRY(view.ForEachLayerOf(directory, [&](LayerId, const std::vector<NameRow>& rows) {
        for (const NameRow& row : rows) seen.push_back(row.name);
      }));
      CHECK(seen == names);
      return {};
    });
  };
  for (uint64_t i = 0; i < kOthers; ++i) {
    check({heads[i], base}, 2000 + i, heads[i], {"base", "name" + std::to_string(i)});
  }
  check({unchanged, base}, 1000, base, {"base"});
}

}  // namespace
}  // namespace velafs::catalog
