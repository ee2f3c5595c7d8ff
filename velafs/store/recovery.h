// Removes data that an import has stored and not published.
#pragma once

#include <span>
#include <string>

#include "velafs/base/ids.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"
#include "velafs/chunk/packs.h"
#include "velafs/os/storage.h"

namespace velafs::store {

struct StoreContext;

// Success when the file was not there.
Status RemovePackFile(os::Storage& storage, const std::string& path);

// One import's layer (if any) and packs, in the catalog and on disk. Files go before rows: a crash
// in between leaves rows of packs that are not published, which RecoverImports removes.
Status RemoveImport(os::Storage& storage, catalog::Catalog& catalog, chunk::PackReader& packs,
                    const std::string& packs_directory, LayerId layer,
                    std::span<const PackId> pack_ids);

// After a crash, before anything else uses the store: every layer still being imported, every pack
// not published, and every pack file the catalog does not know.
Status RecoverImports(os::Storage& storage, catalog::Catalog& catalog, chunk::PackReader& packs,
                      const std::string& packs_directory);

// Resets ephemeral branches that were not closed cleanly to their last frozen state, and notes them
// in the context.
Status ResetEphemerals(StoreContext& context);

}  // namespace velafs::store
