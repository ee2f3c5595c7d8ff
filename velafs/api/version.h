// The release: `--version` and the verb `status` print it.
#pragma once

namespace velafs::api {

extern const char* const kVersion;

}  // namespace velafs::api
