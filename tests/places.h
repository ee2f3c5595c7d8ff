// Where the build has put the program under test, and the source tree. Known to places.cc alone, so
// that a compiler cache serves every checkout.
#pragma once

namespace velafs {

extern const char* const kVelafsProgram;
extern const char* const kSourceDirectory;

}  // namespace velafs
