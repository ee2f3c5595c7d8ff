#include "tests/places.h"

namespace velafs {

const char* const kVelafsProgram = VELAFS_BIN;
const char* const kSourceDirectory = VELAFS_SOURCE_DIR;

}  // namespace velafs
