// A volume with sources made of plain strings, on a temporary directory or a storage of the test's.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "velafs/catalog/catalog.h"
#include "velafs/chunk/packs.h"
#include "velafs/layer/branch.h"
#include "velafs/layer/layer_merger.h"
#include "velafs/layer/layer_sealer.h"
#include "velafs/layer/layer_settler.h"
#include "velafs/layer/volume.h"
#include "velafs/os/storage.h"

namespace velafs::layer {

class VolumeFixture {
 public:
  explicit VolumeFixture(os::Storage& storage = os::HostStorage());
  // On a storage where `directory` is there and empty, and belongs to the caller.
  VolumeFixture(os::Storage& storage, std::string directory);
  ~VolumeFixture();

  // Makes a branch whose files lie in a sealed layer, as an import does.
  void MakeSource(const std::string& name, const std::map<std::string, std::string>& files);
  // Makes branch `name` of branch `source` as it is now.
  Status Clone(const std::string& source, const std::string& name, bool is_ephemeral = false);
  std::shared_ptr<Branch> Open(const std::string& name);
  // Seals a layer, if there is one to seal: whether there was. Refused when `go_on` was false.
  static bool Always() { return true; }
  Result<bool> Seal(uint64_t limit_bytes = UINT64_MAX, const std::function<bool()>& go_on = Always);
  // Merges two layers, if there are two to merge: whether there were. Refused when `go_on` was
  // false.
  Result<bool> Merge(const std::function<bool()>& go_on = Always);
  // The same with other verbs under way: they are begun with `verbs_lock` held.
  Result<bool> Merge(std::mutex& verbs_lock);
  Result<bool> Seal(std::mutex& verbs_lock);
  // Up to the commit, and no further, as a crash would have it.
  Status SealWithoutEnd();
  Result<bool> Seal(std::unique_ptr<LayerSealer> begun, uint64_t limit_bytes,
                    const std::function<bool()>& go_on);

  // Opens the volume anew: after a clean end, or as if its process had been killed.
  void Reopen();
  void Crash();
  // The halves of Crash: what happens in between happens to the disk.
  void CloseAll();
  void OpenAll();
  Status TryOpenAll();

  Volume& volume() { return *volume_; }
  catalog::Catalog& catalog() { return *catalog_; }
  chunk::PackReader& packs() { return *packs_; }
  std::string LayerDirectory(LayerId layer) const;
  LayerId HeadOf(const std::string& name);
  const std::string& directory() const { return directory_; }

 private:
  void MakeParts();
  // As a store does when it is opened: what an ephemeral branch has changed since it was frozen is
  // dropped, unless it was closed cleanly.
  Status ResetEphemerals();
  Status CommitAll(LayerSealer& sealer, uint64_t limit_bytes, const std::function<bool()>& go_on);
  std::string CatalogPath() const { return directory_ + "/catalog.db"; }
  os::Storage& CatalogStorage();

  os::Storage& storage_;
  std::string directory_;
  bool is_scratch_ = false;
  std::unique_ptr<catalog::Catalog> catalog_;
  std::unique_ptr<chunk::PackReader> packs_;
  std::unique_ptr<os::SpaceReserve> reserve_;
  std::unique_ptr<Volume> volume_;
};

std::span<const std::byte> BytesOf(std::string_view text);
// The inode number of a name in the branch's root; none when there is no such name.
InodeNumber InodeOf(Branch& branch, std::string_view name);
// The whole content of a file.
std::string ContentOf(Branch& branch, std::string_view name);
InodeNumber MakeFile(Branch& branch, std::string_view name);

}  // namespace velafs::layer
