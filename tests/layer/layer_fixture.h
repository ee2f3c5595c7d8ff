// One layer on a disk that loses what was not synced, with a catalog on the host.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <span>
#include <string>

#include "tests/catalog/catalog_fixture.h"
#include "tests/os/volatile_storage.h"
#include "velafs/layer/layer.h"
#include "velafs/layer/page_file.h"

namespace velafs::layer {

struct LayerFixture : catalog::CatalogFixture {
  static constexpr char kLayers[] = "/disk/layers";

  LayerFixture() { disk.MakeDurableDirectories(kLayers); }

  std::shared_ptr<PageFile> Create(InodeNumber ino, uint64_t size_bytes,
                                   std::optional<uint64_t> inherited_bytes) {
    auto made = layer->Create(ino, size_bytes, inherited_bytes);
    REQUIRE_MESSAGE(made.ok(), made.status().message());
    return *std::move(made);
  }
  // The layer as it is after a power cut that took all it could; of another life, so not settled.
  std::shared_ptr<Layer> AfterCut() {
    disk.PowerOn(100);
    auto loaded = Layer::Load(parts, layer->id(), false);
    REQUIRE_MESSAGE(loaded.ok(), loaded.status().message());
    return *std::move(loaded);
  }
  static std::string ContentOf(PageFile& file, uint64_t offset_bytes, size_t bytes) {
    std::string content(bytes, '?');
    REQUIRE(file.Read(offset_bytes, std::as_writable_bytes(std::span(content))).ok());
    return content;
  }
  static Status WriteAt(PageFile& file, uint64_t offset_bytes, const std::string& data) {
    return file.Write(offset_bytes, std::as_bytes(std::span(data)));
  }

  test::VolatileStorage disk{1};
  chunk::PackReader packs{disk, "/disk/packs"};
  os::SpaceReserve reserve{disk, "/disk/reserve"};
  const VolumeParts parts{disk, *catalog, packs, reserve, kLayers};
  const std::shared_ptr<Layer> layer = Layer::New(parts, AddLayer());
};

}  // namespace velafs::layer
