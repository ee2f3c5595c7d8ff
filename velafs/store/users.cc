#include "velafs/store/users.h"

#include <grp.h>
#include <pwd.h>

#include <array>
#include <charconv>
#include <fstream>
#include <optional>
#include <vector>

#include "velafs/base/nearest.h"

namespace velafs::store {
namespace {

using Buffer = std::array<char, 16 * 1024>;

// A user's or group's number; nothing for any other text, and for the one that stands for none.
std::optional<uint32_t> ParseId(const std::string& text) {
  uint32_t id = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, id);
  if (parsed.ec != std::errc() || parsed.ptr != end || id == UINT32_MAX) return {};
  return id;
}

Result<uint32_t> FindGroup(const std::string& name) {
  Buffer buffer;
  group entry{};
  group* found = nullptr;
  getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found != nullptr) return found->gr_gid;
  if (const std::optional<uint32_t> id = ParseId(name)) return *id;
  return UsageError("there is no group \"" + name + "\"");
}

// Of the users in /etc/passwd: other sources may be slow to list.
std::vector<std::string> UserNames() {
  std::vector<std::string> names;
  std::ifstream users("/etc/passwd");
  for (std::string line; std::getline(users, line);) {
    names.push_back(line.substr(0, line.find(':')));
  }
  return names;
}

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
  if (const std::optional<uint32_t> uid = ParseId(name); found == nullptr && uid) {
    getpwuid_r(*uid, &entry, buffer.data(), buffer.size(), &found);
  }
  if (found != nullptr) return catalog::FileOwner{found->pw_uid, found->pw_gid};
  return UsageError("there is no user \"" + name + "\"", DidYouMean(name, UserNames(), ""));
}

Result<catalog::FileOwner> FindFileOwner(const std::string& text) {
  const size_t colon = text.find(':');
  const std::string user = text.substr(0, colon);
  Result<catalog::FileOwner> owner = FindUser(user);
  if (!owner.ok()) {
    const std::optional<uint32_t> uid = ParseId(user);
    if (!uid) return owner;
    owner = catalog::FileOwner{*uid, *uid};
  }
  if (colon == std::string::npos) return owner;
  VELAFS_ASSIGN(owner->gid, FindGroup(text.substr(colon + 1)));
  return owner;
}

}  // namespace velafs::store
