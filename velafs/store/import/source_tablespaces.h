// What a source's files have otherwise in the branch, so that its tablespaces stay in there.
#pragma once

#include "velafs/base/status.h"
#include "velafs/store/import/source.h"

namespace velafs::store {

// Fills `source.changes`: CREATE TABLESPACE in the WAL loses its location, and, if the branch has
// tablespaces, postgresql.auto.conf allows them to be directories. What is done is in the
// warnings.
Status KeepTablespacesInside(Source& source);

}  // namespace velafs::store
