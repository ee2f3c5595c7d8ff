// Bytes that come or go as a stream.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "velafs/base/status.h"

namespace velafs {

// Fills some of the buffer, which is not empty; returns how many bytes, 0 only at the end.
using ReadFn = std::function<Result<size_t>(std::span<std::byte>)>;
// Consumes all of the bytes.
using WriteFn = std::function<Status(std::span<const std::byte>)>;

}  // namespace velafs
