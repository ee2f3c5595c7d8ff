#include "velafs/store/users.h"

#include <pwd.h>

#include <array>
#include <charconv>

namespace velafs::store {
namespace {

using Buffer = std::array<char, 16 * 1024>;

}  // namespace

std::string UserName(uint32_t uid) {
  Buffer buffer;
  passwd entry{};
  passwd* found = nullptr;
  getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
  return found == nullptr ? std::to_string(uid) : std::string(found->pw_name);
}

Result<catalog::FileOwner> FindUser(const std::string& name) {
  Buffer buffer;
  passwd entry{};
  passwd* found = nullptr;
  getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  uint32_t uid = 0;
  const char* const end = name.data() + name.size();
  if (const auto parsed = std::from_chars(name.data(), end, uid);
      found == nullptr && parsed.ec == std::errc() && parsed.ptr == end) {
    getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
  }
  if (found != nullptr) return catalog::FileOwner{found->pw_uid, found->pw_gid};
  return UsageError("there is no user \"" + name + "\"");
}

}  // namespace velafs::store
