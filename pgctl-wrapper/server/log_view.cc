#include "pgctl-wrapper/server/log_view.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "pgctl-wrapper/process/text_file.h"
#include "velafs/base/terminal_text.h"

namespace velafs::pgctl {
namespace {

constexpr size_t kLogPieceBytes = 64 * 1024;
constexpr size_t kLongestLine = 64 * 1024;

// Nothing at the end, or when that cannot be read.
std::string ReadPiece(int fd, uint64_t offset, size_t most_bytes) {
  std::string piece(most_bytes, '\0');
  const ssize_t count = pread(fd, piece.data(), piece.size(), static_cast<off_t>(offset));
  piece.resize(count > 0 ? static_cast<size_t>(count) : 0);
  return piece;
}

uint64_t SizeOf(const UniqueFd& file) {
  struct stat info {};
  return fstat(file.get(), &info) == 0 ? static_cast<uint64_t>(info.st_size) : 0;
}

}  // namespace

Result<LogView> LogView::Open(const std::string& path) {
  VELAFS_ASSIGN(UniqueFd file, OpenForeignFile(path));
  return LogView(path, std::move(file));
}

Status LogView::SkipToLast(size_t lines) {
  offset_ = SizeOf(file_);
  if (lines == 0) return {};
  size_t found = 0;
  for (uint64_t end = offset_; end > 0;) {
    const uint64_t begin = end > kLogPieceBytes ? end - kLogPieceBytes : 0;
    const std::string piece = ReadPiece(file_.get(), begin, static_cast<size_t>(end - begin));
    if (piece.empty()) return SystemError(errno, "cannot read \"" + path_ + "\"");
    for (size_t i = piece.size(); i-- > 0;) {
      const bool is_last_byte = begin + i + 1 == offset_;
      if (piece[i] != '\n' || is_last_byte || ++found < lines) continue;
      offset_ = begin + i + 1;
      return {};
    }
    end = begin;
  }
  offset_ = 0;
  return {};
}

Status LogView::Show() {
  for (;;) {
    const std::string piece = ReadPiece(file_.get(), offset_, kLogPieceBytes);
    offset_ += piece.size();
    if (piece.empty()) break;
    Print(piece);
  }
  std::fflush(stdout);
  return std::ferror(stdout) ? SystemError(errno, "cannot write the log") : Status();
}

Status LogView::Follow() {
  const UniqueFd changes(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const std::string directory = std::filesystem::path(path_).parent_path();
  if (!changes || inotify_add_watch(changes.get(), directory.c_str(),
                                    IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0) {
    return SystemError(errno, "cannot watch \"" + directory + "\"");
  }
  for (;;) {
    VELAFS_TRY(Show());
    if (Reopen()) continue;
    pollfd readable{changes.get(), POLLIN, 0};
    if (poll(&readable, 1, -1) < 0 && errno != EINTR) return SystemError(errno, "cannot wait");
    char events[4096];
    while (read(changes.get(), events, sizeof events) > 0) {
    }
  }
}

Result<std::string> LogView::ReadRest() {
  constexpr uint64_t kMostBytes = 64 << 20;
  VELAFS_ASSIGN(std::string rest, ReadAll(file_.get(), offset_, kMostBytes));
  if (rest.size() <= kMostBytes) return rest;
  return Refused("these lines of \"" + path_ + "\" are larger than 64 MiB", "ask for fewer lines");
}

bool LogView::Reopen() {
  struct stat open_file {};
  struct stat named {};
  if (fstat(file_.get(), &open_file) != 0 || lstat(path_.c_str(), &named) != 0) return false;
  const bool is_same = open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
  if (is_same && SizeOf(file_) >= offset_) return false;
  Result<UniqueFd> file = OpenForeignFile(path_);
  if (!file.ok()) return false;
  file_ = *std::move(file);
  offset_ = 0;
  return true;
}

void LogView::Print(std::string_view bytes) {
  if (isatty(STDOUT_FILENO) == 0) {
    std::fwrite(bytes.data(), 1, bytes.size(), stdout);
    return;
  }
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    line_ += bytes.substr(0, end);
    bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
    if (end == std::string_view::npos && line_.size() < kLongestLine) return;
    const std::string shown = PrintableLine(line_);
    line_.clear();
    std::fputs((shown + (end == std::string_view::npos ? "" : "\n")).c_str(), stdout);
  }
}

}  // namespace velafs::pgctl
