// The names of one directory as one branch sees them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "velafs/base/ids.h"
#include "velafs/catalog/rows.h"

namespace velafs::layer {

// A position in a listing. It is derived from names alone, so it stays valid when the directory
// changes or the daemon is restarted. Names have cookies from kFirstCookie up.
using DirectoryCookie = uint64_t;
inline constexpr DirectoryCookie kFirstCookie = 16;

// Externally synchronised.
class Directory {
 public:
  struct Entry {
    std::string name;
    InodeNumber ino;        // none: a whiteout, invisible
    bool is_below = false;  // a layer below the head has the name: removing it takes a whiteout
  };

  // An empty directory whose changes go to layer `head`.
  explicit Directory(LayerId head) : head_(head) {}

  // Adds the names and whiteouts of `layer`. To be called for the lowest layer first; the head
  // comes last.
  void Apply(LayerId layer, const std::vector<catalog::NameRow>& names);

  InodeNumber Find(std::string_view name) const;  // none if there is no such name
  bool IsEmpty() const;
  size_t size() const { return entries_.size(); }  // with whiteouts

  // Whether the head needs a whiteout to remove the name now.
  bool IsBelow(std::string_view name) const;
  void Set(std::string_view name, InodeNumber ino);
  void Remove(std::string_view name);
  // The branch has a new head: every name is now below it.
  void MoveTo(LayerId head);
  LayerId head() const { return head_; }

  // Entries in the order of cookies, with whiteouts, from the first whose cookie is greater than
  // `after`. A listing must not end between names that share a cookie.
  using Entries = std::multimap<DirectoryCookie, Entry>;
  Entries::const_iterator After(DirectoryCookie after) const { return entries_.upper_bound(after); }
  Entries::const_iterator end() const { return entries_.end(); }

 private:
  Entries::iterator Locate(std::string_view name);
  Entries::const_iterator Locate(std::string_view name) const;

  LayerId head_;
  Entries entries_;
};

}  // namespace velafs::layer
