// A catalog in a directory of its own, and words to fill it.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <string>

#include "tests/os/scratch_directory.h"
#include "velafs/catalog/catalog.h"

namespace velafs::catalog {

struct CatalogFixture {
  CatalogFixture() {
    REQUIRE(Catalog::Create(path).ok());
    Reopen();
  }

  void Reopen() {
    catalog.reset();
    auto opened = Catalog::Open(path);
    REQUIRE_MESSAGE(opened.ok(), opened.status().message());
    catalog = *std::move(opened);
  }

  CommitSequence Write(const std::function<Status(Writer&)>& body) {
    const auto written = catalog->Write(body);
    REQUIRE_MESSAGE(written.ok(), written.status().message());
    return *written;
  }
  void Read(const std::function<Status(Reader&)>& body) {
    const Status read = catalog->Read(body);
    REQUIRE_MESSAGE(read.ok(), read.message());
  }

  LayerId AddLayer(LayerId parent = {}, LayerState state = LayerState::kHead) {
    LayerId id;
    Write([&](Writer& writer) -> Status {
      VELAFS_ASSIGN(id, writer.AddLayer(parent, state));
      return {};
    });
    return id;
  }

  BranchId AddBranch(const BranchRow& branch) {
    BranchId id;
    Write([&](Writer& writer) -> Status {
      VELAFS_ASSIGN(id, writer.AddBranch(branch));
      return {};
    });
    return id;
  }

  static BranchRow SomeBranch(const std::string& name, LayerId head, uint64_t instance) {
    BranchRow branch;
    branch.name = name;
    branch.head = head;
    branch.instance = InstanceId(instance);
    branch.root = InodeNumber(1);
    branch.owner = "alice";
    return branch;
  }

  test::ScratchDirectory directory;
  const std::string path = directory / "catalog.db";
  std::unique_ptr<Catalog> catalog;
};

}  // namespace velafs::catalog
