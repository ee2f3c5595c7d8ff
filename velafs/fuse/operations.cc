#include "velafs/fuse/operations.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <vector>

#include "velafs/base/byte_range.h"
#include "velafs/fuse/listing.h"
#include "velafs/fuse/node_id.h"
#include "velafs/layer/volume.h"
#include "velafs/store/users.h"

namespace velafs::fuse {
namespace {

std::span<std::byte> ReadBuffer(size_t size_bytes) {
  thread_local std::vector<std::byte> buffer;
  if (buffer.size() < size_bytes) buffer.resize(size_bytes);
  return std::span(buffer).first(size_bytes);
}

// In a branch whose files are shown as one user's nobody else can be made an owner, and the user
// changes nothing by making them his.
Status KeepOwner(const layer::Branch& branch, layer::AttributeChange* change) {
  const auto& shown = branch.shown_as();
  if (!shown) return {};
  if (change->uid.value_or(shown->uid) != shown->uid) return Errno(EPERM);
  if (change->gid.value_or(shown->gid) != shown->gid) return Errno(EPERM);
  change->uid.reset();
  change->gid.reset();
  return {};
}

// The time a SETATTR asks for, if it does: `now_flag` stands for this moment.
std::optional<TimeNs> WantedTime(int which, int flag, int now_flag, const timespec& wanted,
                                 TimeNs now) {
  if ((which & now_flag) != 0) return now;
  if ((which & flag) != 0) return ToTimeNs(wanted);
  return std::nullopt;
}

store::Caller CallerOf(fuse_req_t request) {
  const fuse_ctx* context = fuse_req_ctx(request);
  store::Caller caller;
  caller.uid = context->uid;
  caller.user = store::UserName(caller.uid);
  caller.gid = context->gid;
  caller.pid = static_cast<uint32_t>(context->pid);
  const int count = fuse_req_getgroups(request, 0, nullptr);
  if (count <= 0) return caller;  // none, or none that can be told: no rights are lost by that
  caller.groups.resize(static_cast<size_t>(count));
  const int found = fuse_req_getgroups(request, count, caller.groups.data());
  caller.groups.resize(static_cast<size_t>(std::clamp(found, 0, count)));
  return caller;
}

// Empty for errors that the caller caused.
std::string TroubleOf(const Status& failure) {
  switch (failure.error_number()) {
    case EDQUOT:
      return "is out of space: a quota is used up";
    case ENOSPC:
      return "is out of space: the disk is full";
    case EIO:
      return "has a failed request: " + failure.message();
    default:
      return failure.code() == Code::kCorrupt ? "has a failed request: " + failure.message() : "";
  }
}

}  // namespace

Operations::Operations(const store::MountedStore& store)
    : store_(store), rules_(store.servers()), mounted_at_(NowNs()) {}

void Operations::SetWriteCached(bool is_write_cached) {
  is_write_cached_ = is_write_cached;
  store_.volume().SetTimeGranularity(is_write_cached ? kTimeGranularity : 1);
}

void Operations::TellTrouble(fuse_ino_t node, const Status& failure) {
  const std::string trouble = TroubleOf(failure);
  if (trouble.empty()) return;
  const InstanceId instance = ToNode(node).instance;
  const auto left_out = trouble_log_.IsDue(instance, trouble, TroubleLog::Clock::now());
  if (!left_out) return;
  const auto branch = store_.volume().Open(instance);
  const std::string name = branch.ok() ? (*branch)->name() : "";
  const std::string more =
      *left_out == 0 ? ""
                     : " (" + std::to_string(*left_out) + " more times since it was last told)";
  spdlog::error("branch \"{}\" {}{}", name, trouble, more);
}

Result<Operations::Place> Operations::Find(fuse_ino_t node) {
  const Node at = ToNode(node);
  if (at.IsRoot()) return Errno(EPERM);
  VELAFS_ASSIGN(auto branch, store_.volume().Open(at.instance));
  return Place{std::move(branch), at.ino};
}

struct stat Operations::Shown(const layer::Branch& branch, const layer::Attributes& attributes) {
  struct stat shown = ToStat(ToNodeId(branch.instance(), attributes.ino), attributes);
  if (const auto& owner = branch.shown_as()) {
    shown.st_uid = owner->uid;
    shown.st_gid = owner->gid;
    // What the data's own group may says nothing of the user's, which others may be in.
    shown.st_mode &= ~mode_t{S_IRWXG};
  }
  return shown;
}

Result<Reply> Operations::Entry(const Place& place, const layer::Attributes& attributes) {
  const uint64_t node_id = ToNodeId(place.branch->instance(), attributes.ino);
  EntryReply reply{.entry = {}, .branch = place.branch, .ino = attributes.ino};
  reply.entry.ino = node_id;
  reply.entry.attr = Shown(*place.branch, attributes);
  reply.entry.attr_timeout = kCacheSeconds;
  reply.entry.entry_timeout = kCacheSeconds;
  place.branch->Retain(attributes.ino);
  return Reply(std::move(reply));
}

Result<Reply> Operations::Lookup(fuse_ino_t parent, const char* name) {
  if (ToNode(parent).IsRoot()) {
    // A branch that is not there now may be there in a moment: the kernel is to ask again.
    VELAFS_ASSIGN(auto branch, store_.volume().Open(name));
    VELAFS_ASSIGN(const auto attributes, branch->Get(branch->root()));
    return Entry({branch, branch->root()}, attributes);
  }
  VELAFS_ASSIGN(const Place place, Find(parent));
  auto attributes = place.branch->Lookup(place.ino, name);
  if (attributes.ok()) return Entry(place, *attributes);
  if (attributes.status().error_number() == ENOENT) return Reply(NoEntry{});
  return std::move(attributes).status();
}

Result<Reply> Operations::Forget(fuse_ino_t node, uint64_t count) {
  const Node at = ToNode(node);
  if (at.IsRoot()) return Reply(NoAnswer{});
  const auto branch = store_.volume().FindOpen(at.instance);
  const bool is_forgotten = branch && branch->Forget(at.ino, count);
  if (is_forgotten && lost_writes_ != nullptr) lost_writes_->NoteForgotten(node);
  return Reply(NoAnswer{});
}

layer::Attributes Operations::RootAttributes() const {
  return {.ino = InodeNumber(kRootNode),
          .mode = S_IFDIR | 0755,
          .nlink = 2,
          .uid = geteuid(),
          .gid = getegid(),
          .size_bytes = kPageBytes,
          .atime = mounted_at_,
          .mtime = mounted_at_,
          .ctime = mounted_at_};
}

Result<Reply> Operations::GetAttributes(fuse_ino_t node) {
  if (ToNode(node).IsRoot()) return Reply(AttributesReply{ToStat(kRootNode, RootAttributes())});
  VELAFS_ASSIGN(const Place place, Find(node));
  VELAFS_ASSIGN(const auto attributes, place.branch->Get(place.ino));
  return Reply(AttributesReply{Shown(*place.branch, attributes)});
}

Result<Reply> Operations::SetAttributes(fuse_ino_t node, const struct stat& wanted, int which) {
  VELAFS_ASSIGN(const Place place, Find(node));
  layer::AttributeChange change;
  if ((which & FUSE_SET_ATTR_MODE) != 0) change.mode = wanted.st_mode;
  if ((which & FUSE_SET_ATTR_UID) != 0) change.uid = wanted.st_uid;
  if ((which & FUSE_SET_ATTR_GID) != 0) change.gid = wanted.st_gid;
  if ((which & FUSE_SET_ATTR_SIZE) != 0) change.size_bytes = static_cast<uint64_t>(wanted.st_size);
  const TimeNs now = store_.volume().Now();
  change.atime =
      WantedTime(which, FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW, wanted.st_atim, now);
  change.mtime =
      WantedTime(which, FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW, wanted.st_mtim, now);
  VELAFS_TRY(KeepOwner(*place.branch, &change));
  VELAFS_ASSIGN(const auto attributes, place.branch->Set(place.ino, change));
  return Reply(AttributesReply{Shown(*place.branch, attributes)});
}

Result<Reply> Operations::ReadLink(fuse_ino_t node) {
  VELAFS_ASSIGN(const Place place, Find(node));
  VELAFS_ASSIGN(std::string target, place.branch->ReadLink(place.ino));
  return Reply(Text{std::move(target)});
}

Result<Reply> Operations::Make(fuse_ino_t parent, const char* name, const layer::NewNode& made,
                               pid_t process) {
  VELAFS_ASSIGN(const Place place, Find(parent));
  layer::NewNode node = made;
  if (place.branch->shown_as()) {  // it belongs to whom the rest of the data does
    VELAFS_ASSIGN(const auto top, place.branch->Get(place.branch->root()));
    node.uid = top.uid;
    node.gid = top.gid;
  }
  VELAFS_ASSIGN(const auto attributes, rules_.Make(*place.branch, place.ino, name, node, process));
  return Entry(place, attributes);
}

Result<Reply> Operations::Unlink(fuse_ino_t parent, const char* name, pid_t process) {
  VELAFS_ASSIGN(const Place place, Find(parent));
  VELAFS_TRY(rules_.Remove(*place.branch, place.ino, name, process));
  return Reply(Done{});
}

Result<Reply> Operations::RemoveDirectory(fuse_ino_t parent, const char* name) {
  VELAFS_ASSIGN(const Place place, Find(parent));
  VELAFS_TRY(place.branch->RemoveDirectory(place.ino, name));
  return Reply(Done{});
}

Result<Reply> Operations::Rename(fuse_ino_t from, const char* from_name, fuse_ino_t to,
                                 const char* to_name, unsigned flags, pid_t process) {
  auto mode = layer::RenameMode::kReplace;
  if (flags == RENAME_NOREPLACE)
    mode = layer::RenameMode::kNoReplace;
  else if (flags == RENAME_EXCHANGE)
    mode = layer::RenameMode::kExchange;
  else if (flags != 0)
    return Errno(EINVAL);
  VELAFS_ASSIGN(const Place source, Find(from));
  VELAFS_ASSIGN(const Place target, Find(to));
  if (source.branch != target.branch) return Errno(EXDEV);
  VELAFS_TRY(
      rules_.Rename(*source.branch, source.ino, from_name, target.ino, to_name, mode, process));
  return Reply(Done{});
}

Result<Reply> Operations::Link(fuse_ino_t node, fuse_ino_t parent, const char* name) {
  VELAFS_ASSIGN(const Place file, Find(node));
  VELAFS_ASSIGN(const Place directory, Find(parent));
  if (file.branch != directory.branch) return Errno(EXDEV);
  VELAFS_ASSIGN(const auto attributes, rules_.Link(*file.branch, file.ino, directory.ino, name));
  return Entry(directory, attributes);
}

Result<Reply> Operations::Read(fuse_ino_t node, size_t size, off_t offset) {
  VELAFS_ASSIGN(const Place place, Find(node));
  const auto buffer = ReadBuffer(size);
  VELAFS_ASSIGN(const size_t got,
                place.branch->Read(place.ino, static_cast<uint64_t>(offset), buffer));
  return Reply(Bytes{buffer.first(got)});
}

Result<Reply> Operations::Write(fuse_ino_t node, std::span<const std::byte> data, off_t offset,
                                bool from_cache) {
  const auto from = static_cast<uint64_t>(offset);
  VELAFS_ASSIGN(const Place place, Find(node));
  Status written = place.branch->Write(place.ino, from, data);
  if (!written.ok() && from_cache && lost_writes_ != nullptr) {
    // The kernel goes on with a file of that size; if it cannot be had, that is no other failure.
    static_cast<void>(place.branch->Extend(place.ino, from + data.size()));
    lost_writes_->Note({node, {from, data.size()}}, written.error_number());
  }
  VELAFS_TRY(std::move(written));
  return Reply(Written{data.size()});
}

Result<Reply> Operations::Sync(fuse_ino_t node, bool data_only) {
  if (ToNode(node).IsRoot()) return Reply(Done{});  // a branch is durable before it shows
  VELAFS_ASSIGN(const Place place, Find(node));
  if (const int lost = lost_writes_ != nullptr ? lost_writes_->TakeError(node) : 0; lost != 0) {
    return Errno(lost);
  }
  VELAFS_TRY(place.branch->Sync(place.ino, data_only ? os::SyncKind::kData : os::SyncKind::kFull));
  return Reply(Done{});
}

Result<Reply> Operations::Allocate(fuse_ino_t node, int mode, off_t offset, off_t length) {
  VELAFS_ASSIGN(const Place place, Find(node));
  const ByteRange range = {static_cast<uint64_t>(offset), static_cast<uint64_t>(length)};
  const bool keep_size = (mode & FALLOC_FL_KEEP_SIZE) != 0;
  switch (mode & ~FALLOC_FL_KEEP_SIZE) {
    case 0:
      VELAFS_TRY(place.branch->Allocate(place.ino, range, keep_size));
      return Reply(Done{});
    case FALLOC_FL_PUNCH_HOLE:
    case FALLOC_FL_ZERO_RANGE:
      VELAFS_TRY(place.branch->Zero(place.ino, range, keep_size));
      return Reply(Done{});
    default:
      return Errno(EOPNOTSUPP);
  }
}

Result<Reply> Operations::Seek(fuse_ino_t node, off_t offset, int whence) {
  // The kernel asks without sending first what it holds: a hole here may be data there. Declined,
  // it takes all of a file for data.
  if (is_write_cached_) return Errno(ENOSYS);
  VELAFS_ASSIGN(const Place place, Find(node));
  VELAFS_ASSIGN(const uint64_t at,
                place.branch->Seek(place.ino, static_cast<uint64_t>(offset), whence == SEEK_DATA));
  return Reply(Position{at});
}

Result<Reply> Operations::OpenDirectory(fuse_ino_t node) {
  if (geteuid() != 0) return Errno(ENOSYS);  // one user's mount: all is listed alike, and not asked
  return Reply(OpenedDirectory{.is_cached = !ToNode(node).IsRoot()});
}

Result<Reply> Operations::List(fuse_req_t request, fuse_ino_t node, size_t size, off_t offset,
                               bool plus) {
  if (ToNode(node).IsRoot()) return ListBranches(request, size, offset, plus);
  VELAFS_ASSIGN(const Place place, Find(node));
  const auto after = static_cast<layer::DirectoryCookie>(offset);
  VELAFS_ASSIGN(const InodeNumber parent, place.branch->Parent(place.ino));
  Listing listing(request, size, plus);
  listing.AddDots(node, parent ? ToNodeId(place.branch->instance(), parent) : kRootNode, after);
  VELAFS_TRY(place.branch->List(
      place.ino, after,
      [&](layer::DirectoryCookie cookie, const std::string& name, const layer::Attributes& found) {
        return listing.Add(cookie, name, Shown(*place.branch, found));
      }));
  ListingReply reply{.bytes = listing.Finish(), .branch = place.branch, .inodes = {}};
  for (const uint64_t node_id : listing.referred()) {
    reply.inodes.push_back(ToNode(node_id).ino);
    place.branch->Retain(reply.inodes.back());
  }
  return Reply(std::move(reply));
}

Result<Reply> Operations::ListBranches(fuse_req_t request, size_t size, off_t offset, bool plus) {
  VELAFS_ASSIGN(const std::vector<std::string> names, store_.NamesShownTo(CallerOf(request)));
  layer::Directory branches{LayerId()};
  for (const std::string& name : names) branches.Set(name, InodeNumber(kRootNode));
  const auto after = static_cast<layer::DirectoryCookie>(offset);
  Listing listing(request, size, plus);
  listing.AddDots(kRootNode, kRootNode, after);
  // Listing the branches opens none of them: the kernel looks up those it enters.
  for (auto entry = branches.After(after); entry != branches.end(); ++entry) {
    if (!listing.Add(entry->first, entry->second.name, ToStat(kRootNode, RootAttributes()),
                     false)) {
      break;
    }
  }
  return Reply(Bytes{listing.Finish()});
}

Result<Reply> Operations::StatFs() {
  struct statvfs space {};
  if (statvfs(store_.root().c_str(), &space) != 0) return Errno(errno);
  space.f_namemax = 255;
  return Reply(Space{space});
}

}  // namespace velafs::fuse
