#include "velafs/layer/idle_references.h"

#include <algorithm>
#include <iterator>

#include "velafs/base/check.h"

namespace velafs::layer {
namespace {

constexpr int kFileShift = IdleReferences::kLookupBits;
constexpr int kInodeShift = kFileShift + 1;

uint64_t ToWord(const IdleReferences::Reference& reference) {
  return reference.ino.value << kInodeShift | uint64_t{reference.is_file} << kFileShift |
         reference.lookups;
}

InodeNumber InodeIn(uint64_t word) { return InodeNumber(word >> kInodeShift); }
bool IsFileIn(uint64_t word) { return (word >> kFileShift & 1) != 0; }
uint64_t LookupsIn(uint64_t word) { return word & IdleReferences::kMostLookups; }
bool IsUsed(uint64_t word) { return LookupsIn(word) > 0; }

}  // namespace

void IdleReferences::Add(const std::vector<Reference>& added) {
  std::vector<uint64_t> words;
  words.reserve(used_ + added.size());
  std::ranges::copy_if(words_, std::back_inserter(words), IsUsed);
  const auto first_added = static_cast<ptrdiff_t>(words.size());
  std::vector<Parent> parents;
  std::ranges::copy_if(parents_, std::back_inserter(parents), [this](const Parent& parent) {
    const auto word = Find(parent.first);
    return word != words_.end() && IsUsed(*word);
  });
  for (const Reference& reference : added) {
    VELAFS_CHECK(reference.lookups > 0 && reference.lookups <= kMostLookups);
    words.push_back(ToWord(reference));
    if (reference.parent) parents.emplace_back(reference.ino, reference.parent);
  }
  std::sort(words.begin() + first_added, words.end());
  std::inplace_merge(words.begin(), words.begin() + first_added, words.end());
  std::ranges::sort(parents);
  parents.shrink_to_fit();
  used_ = words.size();
  words_ = std::move(words);
  parents_ = std::move(parents);
}

std::vector<uint64_t>::iterator IdleReferences::Find(InodeNumber ino) {
  const auto found = std::ranges::lower_bound(words_, ino, {}, InodeIn);
  return found != words_.end() && InodeIn(*found) == ino ? found : words_.end();
}

void IdleReferences::Remove(std::vector<uint64_t>::iterator word) {
  *word &= ~kMostLookups;
  --used_;
  if (used_ * 4 <= words_.size()) Add({});
}

std::optional<IdleReferences::Reference> IdleReferences::Extract(InodeNumber ino) {
  const auto word = Find(ino);
  if (word == words_.end() || !IsUsed(*word)) return std::nullopt;
  Reference taken{.ino = ino, .lookups = LookupsIn(*word), .is_file = IsFileIn(*word)};
  const auto parent = std::ranges::lower_bound(parents_, ino, {}, &Parent::first);
  if (parent != parents_.end() && parent->first == ino) taken.parent = parent->second;
  Remove(word);
  return taken;
}

bool IdleReferences::Forget(InodeNumber ino, uint64_t count) {
  const auto word = Find(ino);
  if (word == words_.end()) return true;
  if (LookupsIn(*word) > count) {
    *word -= count;
    return false;
  }
  if (IsUsed(*word)) Remove(word);
  return true;
}

std::vector<InodeNumber> IdleReferences::Files() const {
  std::vector<InodeNumber> files;
  for (const uint64_t word : words_) {
    if (IsUsed(word) && IsFileIn(word)) files.push_back(InodeIn(word));
  }
  return files;
}

size_t IdleReferences::bytes() const {
  return words_.capacity() * sizeof(uint64_t) + parents_.capacity() * sizeof(Parent);
}

void IdleReferences::Clear() {
  words_ = {};
  parents_ = {};
  used_ = 0;
}

}  // namespace velafs::layer
