// The release this is: what `--version` and the verb `status` say.
#pragma once

namespace velafs::api {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace velafs::api
