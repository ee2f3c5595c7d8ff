// A branch as a tar archive.
#pragma once

#include <cstdint>
#include <functional>

#include "velafs/base/status.h"
#include "velafs/base/streams.h"
#include "velafs/layer/branch.h"
#include "velafs/store/verb_types.h"

namespace velafs::store {

struct TarCounts {
  uint64_t files = 0;             // regular files, each once however many names it has
  uint64_t bytes = 0;             // sum of their sizes
  uint64_t special_left_out = 0;  // files without their setuid and setgid bits, and devices
  uint64_t sockets_left_out = 0;  // and FIFOs
};

// Writes everything in `branch`, a frozen state, in the pax format: the top directory first, as
// "./", then every directory before its content, names in order, hard links as links, holes of 64
// KiB and more as holes. A tablespace that earlier versions put elsewhere in the branch replaces
// the link to it, and postgresql.auto.conf allows that. The branch must not change meanwhile. Fails
// with the sink's failure as it is, with Corrupt if content cannot be read. `on_bytes` gets the
// number of bytes written; if it returns false, this stops with Failed.
Result<TarCounts> WriteTar(layer::Branch& branch, SpecialFiles special, const WriteFn& sink,
                           const std::function<bool(uint64_t bytes_done)>& on_bytes);

}  // namespace velafs::store
