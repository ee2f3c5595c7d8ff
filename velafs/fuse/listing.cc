#include "velafs/fuse/listing.h"

#include "velafs/fuse/reply.h"

namespace velafs::fuse {
namespace {

constexpr layer::DirectoryCookie kDot = 1;
constexpr layer::DirectoryCookie kDotDot = 2;
static_assert(kDotDot < layer::kFirstCookie);

std::vector<char>& ThreadBuffer(size_t size_bytes) {
  thread_local std::vector<char> buffer;
  if (buffer.size() < size_bytes) buffer.resize(size_bytes);
  return buffer;
}

}  // namespace

Listing::Listing(fuse_req_t request, size_t size_bytes, bool plus)
    : request_(request), plus_(plus), buffer_(ThreadBuffer(size_bytes)), size_(size_bytes) {}

void Listing::AddDots(uint64_t node_id, uint64_t parent_id, layer::DirectoryCookie after) {
  struct stat directory {};
  directory.st_ino = node_id;
  directory.st_mode = S_IFDIR;
  if (after < kDot) Add(kDot, ".", directory, false);
  directory.st_ino = parent_id;
  if (after < kDotDot) Add(kDotDot, "..", directory, false);
}

bool Listing::Add(layer::DirectoryCookie cookie, const std::string& name,
                  const struct stat& attributes, bool refers) {
  if (cookie != group_) {
    group_ = cookie;
    group_start_ = used_;
    group_referred_ = referred_.size();
  }
  char* const place = buffer_.data() + used_;
  const size_t room = size_ - used_;
  size_t needed = 0;
  if (plus_) {
    fuse_entry_param entry{};
    entry.ino = refers ? attributes.st_ino : 0;  // 0: the kernel does not refer to it
    entry.attr = attributes;
    entry.attr_timeout = kCacheSeconds;
    entry.entry_timeout = kCacheSeconds;
    needed = fuse_add_direntry_plus(request_, place, room, name.c_str(), &entry,
                                    static_cast<off_t>(cookie));
  } else {
    needed = fuse_add_direntry(request_, place, room, name.c_str(), &attributes,
                               static_cast<off_t>(cookie));
  }
  if (needed > room) {
    is_full_ = true;
    return false;
  }
  used_ += needed;
  if (plus_ && refers) referred_.push_back(attributes.st_ino);
  return true;
}

std::span<const std::byte> Listing::Finish() {
  if (is_full_) {
    used_ = group_start_;
    referred_.resize(group_referred_);
  }
  return std::as_bytes(std::span(buffer_).first(used_));
}

}  // namespace velafs::fuse
