// Changes of a source's files in the branch that keep its tablespaces inside.
#pragma once

#include "velafs/base/status.h"
#include "velafs/store/import/source.h"

namespace velafs::store {

// Fills `source.changes`: CREATE TABLESPACE in the WAL loses its location, and, if the branch has
// tablespaces, postgresql.auto.conf allows them to be directories. The warnings name the changes.
Status KeepTablespacesInside(Source& source);

}  // namespace velafs::store
