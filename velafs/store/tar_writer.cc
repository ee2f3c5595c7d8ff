#include "velafs/store/tar_writer.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "velafs/store/branch_tablespaces.h"
#include "velafs/store/import/source_tree.h"

namespace velafs::store {
namespace {

constexpr uint64_t kTarBufferBytes = 16 * kChunkBytes;
constexpr int kBlockBytes = 1024 * 1024;  // of the stream, handed on at once
constexpr TimeNs kNsPerSecond = 1'000'000'000;
constexpr char kAutoConfName[] = "postgresql.auto.conf";

struct FreeArchive {
  void operator()(archive* it) const { archive_write_free(it); }
};
struct FreeEntry {
  void operator()(archive_entry* it) const { archive_entry_free(it); }
};
using EntryPtr = std::unique_ptr<archive_entry, FreeEntry>;

struct Child {
  std::string name;
  layer::Attributes attributes;
};

struct Extent {
  uint64_t begin;
  uint64_t end;
};

// One thread, once.
class TarWriter {
 public:
  TarWriter(layer::Branch& branch, SpecialFiles special, const WriteFn& sink,
            const std::function<bool(uint64_t)>& on_bytes)
      : branch_(branch),
        special_(special),
        sink_(sink),
        on_bytes_(on_bytes),
        buffer_(kTarBufferBytes) {}

  Result<TarCounts> Run() {
    archive_.reset(archive_write_new());
    if (!archive_) return SystemError(ENOMEM, "cannot make an archive");
    VELAFS_TRY(Check(archive_write_set_format_pax(archive_.get())));
    VELAFS_TRY(Check(archive_write_set_bytes_per_block(archive_.get(), kBlockBytes)));
    VELAFS_TRY(Check(archive_write_set_bytes_in_last_block(archive_.get(), 1)));
    VELAFS_TRY(Check(archive_write_open2(archive_.get(), this, nullptr, &Take, nullptr, nullptr)));
    VELAFS_ASSIGN(const layer::Attributes root, branch_.Get(branch_.root()));
    VELAFS_TRY(FindOldTablespaces());
    VELAFS_TRY(WriteDirectories(root));
    VELAFS_TRY(Check(archive_write_close(archive_.get())));
    return counts_;
  }

 private:
  static la_ssize_t Take(archive* archive, void* self, const void* bytes, size_t size) {
    auto& writer = *static_cast<TarWriter*>(self);
    if (writer.failure_.ok()) {
      writer.failure_ = writer.sink_({static_cast<const std::byte*>(bytes), size});
    }
    if (writer.failure_.ok()) return static_cast<la_ssize_t>(size);
    archive_set_error(archive, EIO, "the archive cannot be passed on");
    return -1;
  }

  // Of a call of the library's.
  Status Check(la_ssize_t result) {
    VELAFS_TRY(failure_);
    if (result >= ARCHIVE_WARN) return {};  // a warning is of names that are not UTF-8
    const char* text = archive_error_string(archive_.get());
    return Failed(text == nullptr ? "cannot write an archive" : text);
  }

  Status FindOldTablespaces() {
    VELAFS_ASSIGN(const std::vector<Tablespace> tablespaces, ListTablespaces(branch_));
    for (const Tablespace& tablespace : tablespaces) {
      if (tablespace.form != TablespaceForm::kOldLink) continue;
      VELAFS_ASSIGN(const auto directory, OldTablespace(branch_, tablespace.target));
      if (!directory) continue;
      old_tablespaces_.emplace(std::string(kTablespaceLinks) + "/" + tablespace.oid, *directory);
    }
    return {};
  }

  // Below, a child of the top directory when `is_top`.
  bool IsLeftOut(const Child& child, bool is_top) const {
    return is_top && child.name == kOldTablespaces && !old_tablespaces_.empty();
  }

  Status WriteDirectories(const layer::Attributes& root) {
    std::vector<Child> ahead = {{".", root}};  // the path in place of the name
    while (!ahead.empty()) {
      const Child directory = std::move(ahead.back());
      ahead.pop_back();
      const auto [first, is_new] = first_names_.emplace(directory.attributes.ino, directory.name);
      if (!is_new) {
        // One that is in itself would have no end.
        return Corrupt("\"" + directory.name + "\" is the same directory as \"" + first->second +
                       "\"");
      }
      VELAFS_TRY(WriteHeader(NewEntry(directory.name, directory.attributes)));
      const std::string prefix = directory.name == "." ? "" : directory.name + "/";
      VELAFS_ASSIGN(std::vector<Child> children, List(directory.attributes.ino));
      const size_t first_ahead = ahead.size();
      for (Child& child : children) {
        if (IsLeftOut(child, prefix.empty())) continue;
        child.name.insert(0, prefix);
        if (child.name.size() >= PATH_MAX) return Refused("a path in it is longer than 4095 bytes");
        const auto moved = old_tablespaces_.find(child.name);
        if (moved != old_tablespaces_.end()) child.attributes = moved->second;
        if (S_ISDIR(child.attributes.mode)) {
          ahead.push_back(std::move(child));
        } else {
          VELAFS_TRY(WriteOne(std::move(child)));
        }
      }
      std::reverse(ahead.begin() + static_cast<std::ptrdiff_t>(first_ahead), ahead.end());
      branch_.Forget(directory.attributes.ino, 0);
    }
    return {};
  }

  Result<std::vector<Child>> List(InodeNumber directory) {
    std::vector<Child> children;
    VELAFS_TRY(branch_.List(directory, {},
                            [&children](layer::DirectoryCookie, const std::string& name,
                                        const layer::Attributes& attributes) {
                              if (name != "." && name != "..")
                                children.push_back({name, attributes});
                              return true;
                            }));
    std::sort(children.begin(), children.end(),
              [](const Child& a, const Child& b) { return a.name < b.name; });
    return children;
  }

  static EntryPtr NewEntry(const std::string& path, const layer::Attributes& attributes) {
    EntryPtr entry(archive_entry_new());
    archive_entry_copy_pathname(entry.get(), path.c_str());
    archive_entry_set_mode(entry.get(), attributes.mode);
    archive_entry_set_uid(entry.get(), attributes.uid);
    archive_entry_set_gid(entry.get(), attributes.gid);
    // Rounded down, also before 1970.
    TimeNs seconds = attributes.mtime / kNsPerSecond;
    TimeNs rest = attributes.mtime % kNsPerSecond;
    if (rest < 0) {
      --seconds;
      rest += kNsPerSecond;
    }
    archive_entry_set_mtime(entry.get(), seconds, static_cast<long>(rest));
    archive_entry_set_rdev(entry.get(), attributes.rdev);
    archive_entry_set_size(entry.get(), 0);
    return entry;
  }

  Status WriteHeader(const EntryPtr& entry) {
    return Check(archive_write_header(archive_.get(), entry.get()));
  }

  // Takes from a file what is special in it; true when nothing of it is left.
  bool LeaveOutSpecial(layer::Attributes& file) {
    if (special_ == SpecialFiles::kKept) return false;
    const bool is_device = S_ISCHR(file.mode) || S_ISBLK(file.mode);
    if (!is_device && (file.mode & (S_ISUID | S_ISGID)) == 0) return false;
    if (special_inodes_.insert(file.ino).second) ++counts_.special_left_out;
    file.mode &= ~static_cast<uint32_t>(S_ISUID | S_ISGID);
    return is_device;
  }

  // No archive has sockets, and what waits at a FIFO's other end is nothing of the data's.
  bool IsSocket(const layer::Attributes& file) {
    if (!S_ISSOCK(file.mode) && !S_ISFIFO(file.mode)) return false;
    ++counts_.sockets_left_out;
    return true;
  }

  Status WriteOne(Child file) {
    if (IsSocket(file.attributes)) return {};
    if (LeaveOutSpecial(file.attributes)) return {};
    const EntryPtr entry = NewEntry(file.name, file.attributes);
    if (file.attributes.nlink > 1) {
      const auto [first, is_new] = first_names_.emplace(file.attributes.ino, file.name);
      if (!is_new) {
        archive_entry_copy_hardlink(entry.get(), first->second.c_str());
        return WriteHeader(entry);
      }
    }
    if (S_ISLNK(file.attributes.mode)) {
      VELAFS_ASSIGN(const std::string target, branch_.ReadLink(file.attributes.ino));
      archive_entry_copy_symlink(entry.get(), target.c_str());
    }
    if (!S_ISREG(file.attributes.mode)) return WriteHeader(entry);
    Status written = WriteFile(file, entry);
    branch_.Forget(file.attributes.ino, 0);  // its page files need not stay open
    return written;
  }

  Status WriteFile(const Child& file, const EntryPtr& entry) {
    const uint64_t size = file.attributes.size_bytes;
    const std::string suffix = SuffixOf(file);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(size + suffix.size()));
    VELAFS_ASSIGN(const std::vector<Extent> extents, ExtentsOf(file.attributes));
    const bool is_whole = size == 0 || !suffix.empty() ||
                          (extents.size() == 1 && extents[0].begin == 0 && extents[0].end == size);
    if (!is_whole) {
      for (const Extent& extent : extents) {
        archive_entry_sparse_add_entry(entry.get(), static_cast<la_int64_t>(extent.begin),
                                       static_cast<la_int64_t>(extent.end - extent.begin));
      }
      // A file that is one hole is told by an empty extent at its end.
      if (extents.empty())
        archive_entry_sparse_add_entry(entry.get(), static_cast<la_int64_t>(size), 0);
    }
    VELAFS_TRY(WriteHeader(entry).WithContext("\"" + file.name + "\""));
    uint64_t at = 0;
    for (const Extent& extent : extents) {
      VELAFS_TRY(SkipTo(&at, extent.begin));
      VELAFS_TRY(Copy(file, &at, extent.end));
    }
    VELAFS_TRY(SkipTo(&at, size));
    VELAFS_TRY(Check(archive_write_data(archive_.get(), suffix.data(), suffix.size())));
    ++counts_.files;
    counts_.bytes += size + suffix.size();
    return {};
  }

  // What the export has after the file's own content.
  std::string SuffixOf(const Child& file) const {
    if (old_tablespaces_.empty() || file.name != kAutoConfName) return "";
    return std::string("\n") + kAllowInPlace;
  }

  // Where there is data; holes shorter than a chunk count as data.
  Result<std::vector<Extent>> ExtentsOf(const layer::Attributes& file) {
    std::vector<Extent> extents;
    uint64_t at = 0;
    while (at < file.size_bytes) {
      const Result<uint64_t> data = branch_.Seek(file.ino, at, /*for_data=*/true);
      if (!data.ok()) {
        if (data.status().error_number() == ENXIO) break;
        return data.status();
      }
      VELAFS_ASSIGN(const uint64_t hole, branch_.Seek(file.ino, *data, /*for_data=*/false));
      if (!extents.empty() && *data - extents.back().end < kChunkBytes) {
        extents.back().end = hole;
      } else {
        extents.push_back({*data < kChunkBytes ? 0 : *data, hole});
      }
      at = hole;
    }
    if (!extents.empty() && file.size_bytes - extents.back().end < kChunkBytes) {
      extents.back().end = file.size_bytes;
    }
    return extents;
  }

  // The library wants holes handed over, too; it writes nothing of them.
  Status SkipTo(uint64_t* at, uint64_t end) {
    if (*at < end) std::fill(buffer_.begin(), buffer_.end(), std::byte{0});
    while (*at < end) {
      const size_t length = std::min<uint64_t>(buffer_.size(), end - *at);
      VELAFS_TRY(Check(archive_write_data(archive_.get(), buffer_.data(), length)));
      *at += length;
      VELAFS_TRY(Report(length));
    }
    return {};
  }

  Status Copy(const Child& file, uint64_t* at, uint64_t end) {
    while (*at < end) {
      const auto into = std::span(buffer_).first(std::min<uint64_t>(buffer_.size(), end - *at));
      VELAFS_ASSIGN(const size_t got, branch_.Read(file.attributes.ino, *at, into));
      if (got != into.size()) return Failed("\"" + file.name + "\" is shorter than it was");
      VELAFS_TRY(Check(archive_write_data(archive_.get(), into.data(), into.size())));
      *at += got;
      VELAFS_TRY(Report(got));
    }
    return {};
  }

  Status Report(uint64_t bytes) {
    bytes_done_ += bytes;
    return on_bytes_ == nullptr || on_bytes_(bytes_done_) ? Status() : Failed("cancelled");
  }

  layer::Branch& branch_;
  const SpecialFiles special_;
  const WriteFn& sink_;
  const std::function<bool(uint64_t)>& on_bytes_;
  std::vector<std::byte> buffer_;
  Status failure_;                                 // the sink's
  std::unique_ptr<archive, FreeArchive> archive_;  // before failure_ goes
  std::unordered_map<InodeNumber, std::string> first_names_;
  std::unordered_set<InodeNumber> special_inodes_;
  std::unordered_map<std::string, layer::Attributes> old_tablespaces_;  // by their links' paths
  TarCounts counts_;
  uint64_t bytes_done_ = 0;
};

}  // namespace

Result<TarCounts> WriteTar(layer::Branch& branch, SpecialFiles special, const WriteFn& sink,
                           const std::function<bool(uint64_t bytes_done)>& on_bytes) {
  return TarWriter(branch, special, sink, on_bytes).Run();
}

}  // namespace velafs::store
