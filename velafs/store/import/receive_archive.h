// A Source that comes as a stream of an archive's members.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "velafs/base/status.h"
#include "velafs/base/streams.h"
#include "velafs/store/import/imported_layer.h"
#include "velafs/store/import/member_tree.h"
#include "velafs/store/import/source.h"

namespace velafs::store {

struct ArchiveStream {
  std::string name;       // of the archive, for messages
  const ReadFn& members;  // as member_stream.h has them
  // Whose all files are to be; else the archive's own words are kept.
  std::optional<FileOwner> owner;
  // Files without names on the filesystem of this directory have the members that cannot be stored
  // before the end of the archive: WAL, and files that import reads.
  std::string spool_directory;
  ImportOptions options;
  ConfigReader config;  // with whose rights `options.config_dir` is read
};

// Stores the content in the layer, which has begun, as it arrives. `on_bytes` gets the number of
// bytes; if it returns false, the import ends with "cancelled". Refused if the archive is
// incomplete, not a PGDATA, or has members that cannot be imported.
Result<Source> ReceiveArchive(ImportedLayer& layer, const ArchiveStream& archive,
                              const std::function<bool(uint64_t bytes_done)>& on_bytes);

}  // namespace velafs::store
