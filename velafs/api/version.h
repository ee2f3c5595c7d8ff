// The release this is: what `--version` and the verb `status` say.
#pragma once

namespace velafs::api {

extern const char* const kVersion;

}  // namespace velafs::api
