#include "velafs/layer/directory.h"

namespace velafs::layer {
namespace {

// FNV-1a with a final mix, in 62 bits above the reserved cookies. Part of what a listing in
// progress holds on to: never changed.
DirectoryCookie CookieOf(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325;
  for (char c : name) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3;
  }
  hash ^= hash >> 32;
  return (hash >> 2) + kFirstCookie;
}

}  // namespace

Directory::Entries::iterator Directory::Locate(std::string_view name) {
  auto [first, last] = entries_.equal_range(CookieOf(name));
  while (first != last && first->second.name != name) ++first;
  return first == last ? entries_.end() : first;
}

Directory::Entries::const_iterator Directory::Locate(std::string_view name) const {
  return const_cast<Directory*>(this)->Locate(name);
}

void Directory::Apply(LayerId layer, const std::vector<catalog::NameRow>& names) {
  const bool below = layer != head_;
  for (const catalog::NameRow& row : names) {
    const auto found = Locate(row.name);
    if (found == entries_.end()) {
      if (row.ino) entries_.emplace(CookieOf(row.name), Entry{row.name, row.ino, below});
    } else if (row.ino || !below) {
      found->second.ino = row.ino;
    } else {
      entries_.erase(found);
    }
  }
}

InodeNumber Directory::Find(std::string_view name) const {
  const auto found = Locate(name);
  return found == entries_.end() ? InodeNumber() : found->second.ino;
}

bool Directory::IsEmpty() const {
  for (const auto& [cookie, entry] : entries_) {
    if (entry.ino) return false;
  }
  return true;
}

bool Directory::IsBelow(std::string_view name) const {
  const auto found = Locate(name);
  return found != entries_.end() && found->second.is_below;
}

void Directory::Set(std::string_view name, InodeNumber ino) {
  const auto found = Locate(name);
  if (found != entries_.end()) {
    found->second.ino = ino;
  } else {
    entries_.emplace(CookieOf(name), Entry{std::string(name), ino, false});
  }
}

void Directory::Remove(std::string_view name) {
  const auto found = Locate(name);
  if (found == entries_.end()) return;
  if (found->second.is_below) {
    found->second.ino = InodeNumber();
  } else {
    entries_.erase(found);
  }
}

void Directory::MoveTo(LayerId head) {
  head_ = head;
  std::erase_if(entries_, [](const auto& entry) { return !entry.second.ino; });
  for (auto& [cookie, entry] : entries_) entry.is_below = true;
}

}  // namespace velafs::layer
