#include "velafs/api/version.h"

namespace velafs::api {

// CMakeLists.txt at the top says which.
const char* const kVersion = VELAFS_VERSION;

}  // namespace velafs::api
