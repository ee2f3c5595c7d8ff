// Whether a source's WAL reaches as far as its data needs it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "velafs/base/status.h"
#include "velafs/store/import/source.h"

namespace velafs::store {

// The first `bytes` of global/pg_control at most; "" if there is none.
Result<std::string> ReadControlFile(const Source& source, size_t bytes);

// For a standby's copy: the position in the WAL, as 0/3000148, that recovery must reach before the
// data is consistent, if no WAL segment of the source has the page that ends there.
Result<std::optional<std::string>> WalEndThatIsMissing(const Source& source);

}  // namespace velafs::store
