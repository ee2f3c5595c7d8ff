#include "velafs/cli/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/filesystem.hpp>
#include <cerrno>
#include <memory>
#include <string_view>
#include <utility>

#include "velafs/os/unique_fd.h"
#include "velafs/store/source_links.h"

namespace velafs::cli {
namespace {

namespace fs = boost::filesystem;

constexpr size_t kQueueBytes = 8 * 1024 * 1024;

struct FreeReader {
  void operator()(archive* it) const { archive_read_free(it); }
};
struct FreeWriter {
  void operator()(archive* it) const { archive_write_free(it); }
};
struct FreeEntry {
  void operator()(archive_entry* it) const { archive_entry_free(it); }
};

// What the library's reader takes its bytes from.
struct Input {
  ByteQueue& queue;
  std::array<std::byte, 256 * 1024> buffer;
  Status failure = {};

  static la_ssize_t Read(archive* archive, void* self, const void** bytes) {
    auto& input = *static_cast<Input*>(self);
    const Result<size_t> got = input.queue.Pull(input.buffer);
    *bytes = input.buffer.data();
    if (got.ok()) return static_cast<la_ssize_t>(*got);
    input.failure = got.status();
    archive_set_error(archive, EIO, "no more of the archive");
    return -1;
  }
};

Status Fail(archive* archive) {
  const char* text = archive_error_string(archive);
  const std::string what = text == nullptr ? "cannot unpack" : text;
  const int error_number = archive_errno(archive);
  return error_number > 0 ? SystemError(error_number, what) : Failed(what);
}

Status SyncPath(const fs::path& path, int flags) {
  const os::UniqueFd fd(open(path.c_str(), flags | O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd || fsync(fd.get()) != 0)
    return SystemError(errno, "cannot make \"" + path.string() + "\" durable");
  return {};
}

Status CopyContent(archive* from, archive* to) {
  for (;;) {
    const void* bytes = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    const int read = archive_read_data_block(from, &bytes, &size, &offset);
    if (read == ARCHIVE_EOF) return {};
    if (read != ARCHIVE_OK) return Fail(from);
    if (archive_write_data_block(to, bytes, size, offset) < ARCHIVE_OK) return Fail(to);
  }
}

// Where in the archive it is, without "." and empty steps: "./base//5/1259" is three deep.
size_t DepthOf(const fs::path& path) {
  return static_cast<size_t>(std::ranges::count_if(
      path, [](const fs::path& step) { return !step.empty() && step != "." && step != "/"; }));
}

Status CheckEntry(archive_entry* entry) {
  const char* name = archive_entry_pathname(entry);
  const std::string path = name == nullptr ? "" : name;
  const char* target = archive_entry_symlink(entry);
  if (target != nullptr && !store::StaysInside(target, DepthOf(path) - 1)) {
    return Refused("\"" + path + "\" leads to \"" + target + "\", out of the archive",
                   "unpack it where its links are good, and use --from-dir");
  }
  if (target != nullptr || archive_entry_hardlink(entry) != nullptr) return {};
  const auto type = archive_entry_filetype(entry);
  if (type == AE_IFREG || type == AE_IFDIR) return {};
  return Refused("\"" + path + "\" is neither a file, a directory nor a link");
}

}  // namespace

// One pass that has the kernel write everything at once, and one that asks of each file.
Status SyncTree(const std::string& directory) {
  {
    const os::UniqueFd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd) syncfs(fd.get());
  }
  boost::system::error_code error;
  for (fs::recursive_directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const fs::file_type type = entry->symlink_status().type();
    if (type == fs::regular_file) VELAFS_TRY(SyncPath(entry->path(), 0));
    if (type == fs::directory_file) VELAFS_TRY(SyncPath(entry->path(), O_DIRECTORY));
  }
  if (error) return SystemError(error.value(), "cannot make \"" + directory + "\" durable");
  return SyncPath(directory, O_DIRECTORY);
}

Unpacker::Unpacker(std::string directory, Archive archive, ElsewhereByPath elsewhere,
                   std::optional<FileOwner> owner)
    : directory_(std::move(directory)),
      archive_(archive),
      elsewhere_(std::move(elsewhere)),
      owner_(owner),
      queue_(kQueueBytes),
      thread_([this] {
        unpacked_ = Unpack();
        queue_.Close();
      }) {}

Unpacker::~Unpacker() {
  if (thread_.joinable()) static_cast<void>(Finish(Failed("cancelled")));
}

Status Unpacker::Take(std::span<const std::byte> bytes) {
  return queue_.Push(bytes) ? Status() : Failed("the files cannot be made");
}

Status Unpacker::Finish(Status end) {
  queue_.Finish(std::move(end));
  thread_.join();
  return unpacked_;
}

Result<bool> Unpacker::Divert(archive_entry* entry, archive* links) {
  const std::string path = archive_entry_pathname(entry);
  for (const auto& [from, to] : elsewhere_) {
    if (path != from && !path.starts_with(from + "/")) continue;
    if (found_.insert(from).second) {
      const std::unique_ptr<archive_entry, FreeEntry> link(archive_entry_clone(entry));
      archive_entry_set_filetype(link.get(), AE_IFLNK);
      archive_entry_set_pathname(link.get(), from.c_str());
      archive_entry_set_symlink(link.get(), to.link.c_str());
      if (archive_write_header(links, link.get()) != ARCHIVE_OK) return Fail(links);
    }
    archive_entry_set_pathname(entry, (to.directory + path.substr(from.size())).c_str());
    return true;
  }
  return false;
}

Status Unpacker::Unpack() {
  const std::unique_ptr<archive, FreeReader> from(archive_read_new());
  const std::unique_ptr<archive, FreeWriter> below(archive_write_disk_new());
  const std::unique_ptr<archive, FreeWriter> elsewhere(archive_write_disk_new());
  if (!from || !below || !elsewhere) return SystemError(ENOMEM, "cannot unpack");
  int flags = ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
              ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS;
  if (geteuid() == 0) flags |= ARCHIVE_EXTRACT_OWNER;
  archive_write_disk_set_options(below.get(), flags);
  archive_write_disk_set_options(elsewhere.get(), flags & ~ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS);
  const auto input = std::make_unique<Input>(Input{queue_, {}});
  archive_read_support_format_tar(from.get());
  if (archive_ == Archive::kForeign) archive_read_support_filter_all(from.get());
  if (archive_read_open(from.get(), input.get(), nullptr, &Input::Read, nullptr) != ARCHIVE_OK) {
    VELAFS_TRY(input->failure);
    return Fail(from.get());
  }
  timespec top_times[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
  for (;;) {
    archive_entry* entry = nullptr;
    const int read = archive_read_next_header(from.get(), &entry);
    VELAFS_TRY(input->failure);
    if (read == ARCHIVE_EOF) break;
    if (read < ARCHIVE_WARN) return Fail(from.get());
    if (archive_entry_pathname(entry) == std::string_view("./")) {
      top_times[1] = {archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
    }
    if (archive_ == Archive::kForeign) VELAFS_TRY(CheckEntry(entry));
    if (owner_) {
      archive_entry_set_uid(entry, owner_->uid);
      archive_entry_set_gid(entry, owner_->gid);
    }
    VELAFS_ASSIGN(const bool diverted, Divert(entry, below.get()));
    archive* const to = diverted ? elsewhere.get() : below.get();
    if (archive_write_header(to, entry) != ARCHIVE_OK) return Fail(to);
    Status copied = CopyContent(from.get(), to);
    VELAFS_TRY(input->failure);
    VELAFS_TRY(std::move(copied));
    if (archive_write_finish_entry(to) != ARCHIVE_OK) return Fail(to);
  }
  // Modes and times of directories come last; the library leaves out the times of the top.
  for (archive* const to : {below.get(), elsewhere.get()}) {
    if (archive_write_close(to) != ARCHIVE_OK) return Fail(to);
  }
  if (utimensat(AT_FDCWD, directory_.c_str(), top_times, 0) == 0) return {};
  return SystemError(errno, "cannot set the times of \"" + directory_ + "\"");
}

}  // namespace velafs::cli
