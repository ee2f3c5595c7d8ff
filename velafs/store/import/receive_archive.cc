#include "velafs/store/import/receive_archive.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "velafs/os/anonymous_file.h"
#include "velafs/store/import/member_stream.h"
#include "velafs/store/import/stream_content.h"

namespace velafs::store {
namespace {

constexpr uint64_t kMaxSpoolBytes = uint64_t{1} << 60;

class Receiver {
 public:
  Receiver(ImportedLayer& layer, const ArchiveStream& archive,
           const std::function<bool(uint64_t)>& on_bytes)
      : layer_(layer),
        reader_(archive.members),
        archive_(archive),
        tree_(archive.name, archive.owner),
        content_(layer.sink()),
        on_bytes_(on_bytes) {}

  Result<Source> Run() {
    VELAFS_ASSIGN(spool_.file, os::MakeAnonymousFile(archive_.spool_directory));
    for (;;) {
      VELAFS_ASSIGN(const std::optional<Member> member, reader_.Next());
      if (!member) break;
      VELAFS_TRY(Take(*member));
    }
    VELAFS_TRY(content_.Finish());
    return tree_.Finish(std::move(spool_), archive_.options, archive_.config);
  }

 private:
  Status Take(const Member& member) {
    VELAFS_ASSIGN(const MemberTree::Added added, tree_.Add(member));
    if (added.content == MemberTree::Content::kNone) return Report(0);
    if (added.content == MemberTree::Content::kStored) {
      VELAFS_TRY(layer_.ReserveInodes(tree_.size()));
      VELAFS_TRY(content_.BeginFile(layer_.InoOf(added.entry), member.size_bytes));
      return TakeContent([this](const Block& block) { return content_.Put(block); });
    }
    const uint64_t begin = spool_bytes_;
    spool_.offsets[added.entry] = begin;
    spool_bytes_ += member.size_bytes;
    if (spool_bytes_ > kMaxSpoolBytes) return Refused("it has too much WAL");
    if (ftruncate(spool_.file.get(), static_cast<off_t>(spool_bytes_)) != 0) {
      return SystemError(errno, "cannot keep \"" + member.path + "\" while the archive comes");
    }
    return TakeContent(
        [&](const Block& block) { return WriteToSpool(begin + block.offset_bytes, block.bytes); });
  }

  template <typename Put>
  Status TakeContent(const Put& put) {
    for (;;) {
      VELAFS_ASSIGN(const std::optional<Block> block, reader_.NextBlock());
      if (!block) return Report(0);
      VELAFS_TRY(put(*block));
      VELAFS_TRY(Report(block->bytes.size()));
    }
  }

  Status WriteToSpool(uint64_t at, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t done =
          pwrite(spool_.file.get(), bytes.data(), bytes.size(), static_cast<off_t>(at));
      if (done < 0 && errno == EINTR) continue;
      if (done < 0)
        return SystemError(errno, "cannot keep WAL beside the store while the archive comes");
      at += static_cast<uint64_t>(done);
      bytes = bytes.subspan(static_cast<size_t>(done));
    }
    return {};
  }

  Status Report(uint64_t bytes) {
    bytes_done_ += bytes;
    return on_bytes_(bytes_done_) ? Status() : Failed("cancelled");
  }

  ImportedLayer& layer_;
  MemberReader reader_;
  const ArchiveStream& archive_;
  MemberTree tree_;
  StreamContent content_;
  const std::function<bool(uint64_t)>& on_bytes_;
  Spool spool_;
  uint64_t spool_bytes_ = 0;
  uint64_t bytes_done_ = 0;
};

}  // namespace

Result<Source> ReceiveArchive(ImportedLayer& layer, const ArchiveStream& archive,
                              const std::function<bool(uint64_t)>& on_bytes) {
  return Receiver(layer, archive, on_bytes).Run();
}

}  // namespace velafs::store
