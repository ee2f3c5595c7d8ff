#include "velafs/cli/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <boost/filesystem.hpp>
#include <cerrno>
#include <memory>
#include <string_view>
#include <utility>

#include "velafs/os/unique_fd.h"

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

// The input of the library's reader.
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
    return SystemError(errno, "cannot make " + path.filename().string() + " durable");
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

std::unique_ptr<archive, FreeWriter> MakeWriter() {
  std::unique_ptr<archive, FreeWriter> writer(archive_write_disk_new());
  int flags = ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
              ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS;
  if (geteuid() == 0) flags |= ARCHIVE_EXTRACT_OWNER;
  if (writer) archive_write_disk_set_options(writer.get(), flags);
  return writer;
}

bool IsTop(std::string_view path) { return path == "./" || path == "."; }

}  // namespace

// One pass that has the kernel write everything at once, and one that asks of each file.
Status SyncTree(int directory_fd) {
  syncfs(directory_fd);
  const std::string directory = "/proc/self/fd/" + std::to_string(directory_fd);
  boost::system::error_code error;
  for (fs::recursive_directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const fs::file_type type = entry->symlink_status().type();
    if (type == fs::regular_file) VELAFS_TRY(SyncPath(entry->path(), 0));
    if (type == fs::directory_file) VELAFS_TRY(SyncPath(entry->path(), O_DIRECTORY));
  }
  if (error) return SystemError(error.value(), "cannot make the files durable");
  if (fsync(directory_fd) == 0) return {};
  return SystemError(errno, "cannot make the directory durable");
}

// The library makes files below the working directory, which is another for each place.
struct Unpacker::Place {
  explicit Place(int fd_in) : fd(fd_in), writer(MakeWriter()) {}
  // Also after a failure the library gives directories their modes, now.
  ~Place() {
    if (writer && fchdir(fd) == 0) writer.reset();
    static_cast<void>(writer.release());
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  Status Enter() const {
    return fchdir(fd) == 0 ? Status() : SystemError(errno, "cannot change to a directory");
  }
  // Modes and times of directories come last; the library leaves out the times of the top.
  Status Close() {
    VELAFS_TRY(Enter());
    if (archive_write_close(writer.get()) != ARCHIVE_OK) return Fail(writer.get());
    if (utimensat(AT_FDCWD, ".", top_times, 0) == 0) return {};
    return SystemError(errno, "cannot set the times of the top directory");
  }

  const int fd;
  std::unique_ptr<archive, FreeWriter> writer;
  timespec top_times[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
};

Unpacker::Unpacker(ElsewhereByPath elsewhere)
    : elsewhere_(std::move(elsewhere)), queue_(kQueueBytes), thread_([this] {
        unpacked_ = Unpack();
        queue_.Close();
      }) {}

Unpacker::~Unpacker() {
  if (thread_.joinable()) static_cast<void>(Finish(Failed("cancelled")));
}

Status Unpacker::Write(std::span<const std::byte> bytes) {
  return queue_.Push(bytes) ? Status() : Failed("the files cannot be made");
}

Status Unpacker::Finish(Status end) {
  queue_.Finish(std::move(end));
  thread_.join();
  return unpacked_;
}

Result<Unpacker::Place*> Unpacker::Choose(archive_entry* entry, Place& top,
                                          std::map<std::string, Place>& others) {
  const std::string path = archive_entry_pathname(entry);
  for (const auto& [from, to] : elsewhere_) {
    if (path != from && !path.starts_with(from + "/")) continue;
    if (found_.insert(from).second) {
      const std::unique_ptr<archive_entry, FreeEntry> link(archive_entry_clone(entry));
      archive_entry_set_filetype(link.get(), AE_IFLNK);
      archive_entry_set_pathname(link.get(), from.c_str());
      archive_entry_set_symlink(link.get(), to.link.c_str());
      VELAFS_TRY(top.Enter());
      if (archive_write_header(top.writer.get(), link.get()) != ARCHIVE_OK) {
        return Fail(top.writer.get());
      }
    }
    archive_entry_set_pathname(entry, ("." + path.substr(from.size())).c_str());
    return &others.try_emplace(from, to.directory_fd).first->second;
  }
  return &top;
}

Status Unpacker::UnpackEntry(archive* from, archive_entry* entry, Place& top,
                             std::map<std::string, Place>& others) {
  if (archive_entry_pathname(entry) == nullptr)
    return Failed("the archive has a file without name");
  VELAFS_ASSIGN(Place* const place, Choose(entry, top, others));
  if (!place->writer) return SystemError(ENOMEM, "cannot unpack");
  archive* const to = place->writer.get();
  if (IsTop(archive_entry_pathname(entry))) {
    place->top_times[1] = {archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
  }
  VELAFS_TRY(place->Enter());
  if (archive_write_header(to, entry) != ARCHIVE_OK) return Fail(to);
  VELAFS_TRY(CopyContent(from, to));
  return archive_write_finish_entry(to) == ARCHIVE_OK ? Status() : Fail(to);
}

Status Unpacker::Unpack() {
  const std::unique_ptr<archive, FreeReader> from(archive_read_new());
  const os::UniqueFd here(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!here) return SystemError(errno, "cannot open the directory to unpack to");
  Place top(here.get());
  std::map<std::string, Place> others;
  if (!from || !top.writer) return SystemError(ENOMEM, "cannot unpack");
  const auto input = std::make_unique<Input>(Input{queue_, {}});
  archive_read_support_format_tar(from.get());
  if (archive_read_open(from.get(), input.get(), nullptr, &Input::Read, nullptr) != ARCHIVE_OK) {
    VELAFS_TRY(input->failure);
    return Fail(from.get());
  }
  for (;;) {
    archive_entry* entry = nullptr;
    const int read = archive_read_next_header(from.get(), &entry);
    VELAFS_TRY(input->failure);
    if (read == ARCHIVE_EOF) break;
    // A warning is of a name in another character set. ARCHIVE_RETRY comes with no entry.
    if (read != ARCHIVE_OK && read != ARCHIVE_WARN) return Fail(from.get());
    Status unpacked = UnpackEntry(from.get(), entry, top, others);
    VELAFS_TRY(input->failure);
    VELAFS_TRY(std::move(unpacked));
  }
  for (auto& [path, place] : others) VELAFS_TRY(place.Close());
  return top.Close();
}

}  // namespace velafs::cli
