// Whether a source's WAL reaches as far as its data needs it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "velafs/base/status.h"
#include "velafs/store/import/source.h"

namespace velafs::store {

// What global/pg_control begins with, at most `bytes` of it; "" when there is none.
Result<std::string> ReadControlFile(const Source& source, size_t bytes);

// Of a standby's copy: the position in the WAL, as 0/3000148, that recovery has to reach before the
// data is consistent, if the page that ends there is in no WAL segment of the source.
Result<std::optional<std::string>> WalEndThatIsMissing(const Source& source);

}  // namespace velafs::store
