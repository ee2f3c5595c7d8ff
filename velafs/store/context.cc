#include "velafs/store/context.h"

#include "velafs/catalog/catalog.h"
#include "velafs/chunk/packs.h"
#include "velafs/layer/volume.h"
#include "velafs/store/audit_log.h"
#include "velafs/store/catalog_copies.h"
#include "velafs/store/govern/policies.h"

namespace velafs::store {

StoreContext::StoreContext(StorePaths store_paths, os::Storage& host_storage)
    : paths(std::move(store_paths)),
      storage(host_storage),
      reserve(host_storage, paths.Reserve()) {}

StoreContext::~StoreContext() = default;

Status StoreContext::WriteDurably(const std::function<Status(catalog::Writer&)>& body) {
  VELAFS_ASSIGN(const catalog::CommitSequence sequence, catalog->Write(body));
  return catalog->MakeDurable(sequence);
}

}  // namespace velafs::store
