#include "velafs/fuse/reply.h"

namespace velafs::fuse {
namespace {

timespec ToTimespec(TimeNs time) {
  constexpr TimeNs kSecond = 1'000'000'000;
  const TimeNs rest = (time % kSecond + kSecond) % kSecond;  // counts forwards, also before 1970
  return {.tv_sec = time / kSecond - (time % kSecond < 0 ? 1 : 0), .tv_nsec = rest};
}

struct Sender {
  fuse_req_t request;

  void operator()(Done) const { fuse_reply_err(request, 0); }
  void operator()(NoAnswer) const { fuse_reply_none(request); }
  void operator()(const AttributesReply& reply) const {
    fuse_reply_attr(request, &reply.attributes, kCacheSeconds);
  }
  void operator()(const EntryReply& reply) const {
    if (fuse_reply_entry(request, &reply.entry) != 0) reply.branch->Forget(reply.ino, 1);
  }
  void operator()(NoEntry) const {
    fuse_entry_param nothing{};
    nothing.entry_timeout = kCacheSeconds;
    fuse_reply_entry(request, &nothing);
  }
  void operator()(const Bytes& reply) const { SendBytes(reply.bytes); }
  void operator()(const ListingReply& reply) const {
    if (SendBytes(reply.bytes) == 0) return;
    for (const InodeNumber ino : reply.inodes) reply.branch->Forget(ino, 1);
  }
  void operator()(const Text& reply) const { fuse_reply_readlink(request, reply.text.c_str()); }
  void operator()(Written reply) const { fuse_reply_write(request, reply.bytes); }
  void operator()(Position reply) const {
    fuse_reply_lseek(request, static_cast<off_t>(reply.offset_bytes));
  }
  void operator()(OpenedDirectory reply) const {
    fuse_file_info info{};
    info.cache_readdir = info.keep_cache = reply.is_cached;
    fuse_reply_open(request, &info);
  }
  void operator()(const Space& reply) const { fuse_reply_statfs(request, &reply.space); }

  // 0 when the kernel has taken them.
  int SendBytes(std::span<const std::byte> bytes) const {
    return fuse_reply_buf(request, reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
};

}  // namespace

void Send(fuse_req_t request, const Reply& reply) { std::visit(Sender{request}, reply); }

struct stat ToStat(uint64_t node_id, const layer::Attributes& attributes) {
  struct stat result {};
  result.st_ino = node_id;
  result.st_mode = attributes.mode;
  result.st_nlink = attributes.nlink;
  result.st_uid = attributes.uid;
  result.st_gid = attributes.gid;
  result.st_rdev = attributes.rdev;
  result.st_size = static_cast<off_t>(attributes.size_bytes);
  result.st_blocks = static_cast<blkcnt_t>((attributes.allocated_bytes + 511) / 512);
  // Programs buffer by it: a write of a whole page copies nothing from below, and takes half the
  // requests of one of 4096 bytes. What copies in larger pieces anyway (cp, cat) ignores it.
  result.st_blksize = kPageBytes;
  result.st_atim = ToTimespec(attributes.atime);
  result.st_mtim = ToTimespec(attributes.mtime);
  result.st_ctim = ToTimespec(attributes.ctime);
  return result;
}

}  // namespace velafs::fuse
