#include "pgctl-wrapper/process/text_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "pgctl-wrapper/process/unique_fd.h"

namespace velafs::pgctl {
namespace {

constexpr size_t kQuotedLines = 12;

Status FileError(const char* what, const std::string& path) {
  return SystemError(errno, std::string(what) + " \"" + path + "\"");
}

// A branch's files are its owner's, who may make them anything: nothing is waited for.
Result<UniqueFd> OpenRegular(const std::string& path, int more_flags = 0) {
  UniqueFd file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | more_flags));
  struct stat info {};
  if (!file && errno == ELOOP && more_flags == O_NOFOLLOW) {
    return Refused("\"" + path + "\" is a symbolic link");
  }
  if (!file || fstat(file.get(), &info) != 0) return FileError("cannot open", path);
  if (!S_ISREG(info.st_mode)) return Refused("\"" + path + "\" is not a regular file");
  return file;
}

Result<std::string> ReadBounded(const UniqueFd& file, const std::string& path,
                                uint64_t most_bytes) {
  Result<std::string> text = ReadAll(file.get(), 0, most_bytes);
  if (!text.ok()) return std::move(text).status().WithContext("\"" + path + "\"");
  if (text->size() > most_bytes) return Refused("\"" + path + "\" is too large");
  return text;
}

}  // namespace

Result<std::string> ReadAll(int fd, uint64_t offset_bytes, uint64_t most_bytes) {
  std::string text;
  char buffer[8192];
  for (;;) {
    const off_t offset = static_cast<off_t>(offset_bytes + text.size());
    const ssize_t count = pread(fd, buffer, sizeof buffer, offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemError(errno, "cannot read");
    if (count == 0 || text.size() > most_bytes) return text;
    text.append(buffer, static_cast<size_t>(count));
  }
}

Result<std::string> ReadTail(int fd, uint64_t offset_bytes) {
  constexpr uint64_t kMostBytes = 256 * 1024;
  struct stat info {};
  if (fstat(fd, &info) != 0) return SystemError(errno, "cannot read");
  const auto size = static_cast<uint64_t>(info.st_size);
  const uint64_t tail = size > kMostBytes ? size - kMostBytes : 0;
  return ReadAll(fd, std::max(offset_bytes, tail), kMostBytes);
}

Result<std::string> ReadTextFile(const std::string& path, uint64_t offset_bytes) {
  VELAFS_ASSIGN(const UniqueFd file, OpenRegular(path));
  Result<std::string> text = ReadAll(file.get(), offset_bytes);
  if (!text.ok()) return std::move(text).status().WithContext("\"" + path + "\"");
  return text;
}

Result<std::string> ReadBoundedFile(const std::string& path, uint64_t most_bytes) {
  VELAFS_ASSIGN(const UniqueFd file, OpenRegular(path));
  return ReadBounded(file, path, most_bytes);
}

Result<std::string> ReadForeignFile(const std::string& path, uint64_t most_bytes) {
  VELAFS_ASSIGN(const UniqueFd file, OpenForeignFile(path));
  return ReadBounded(file, path, most_bytes);
}

Result<UniqueFd> OpenForeignFile(const std::string& path) { return OpenRegular(path, O_NOFOLLOW); }

Status WriteTextFile(const std::string& path, std::string_view text) {
  const std::string fresh = path + ".new";
  // What a write that was cut off has left, or somebody else: a FIFO would be waited for.
  if (unlink(fresh.c_str()) != 0 && errno != ENOENT) return FileError("cannot remove", fresh);
  const UniqueFd file(open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) return FileError("cannot create", fresh);
  while (!text.empty()) {
    const ssize_t count = write(file.get(), text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FileError("cannot write", fresh);
    text.remove_prefix(static_cast<size_t>(count));
  }
  if (rename(fresh.c_str(), path.c_str()) != 0) return FileError("cannot replace", path);
  return {};
}

std::string QuoteLastLines(std::string_view intro, std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  size_t start = text.size();
  for (size_t lines = 0; lines < kQuotedLines && start != std::string_view::npos; ++lines) {
    start = start == 0 ? std::string_view::npos : text.rfind('\n', start - 1);
  }
  if (start != std::string_view::npos) text.remove_prefix(start + 1);
  if (text.empty()) return "";
  return std::string(intro) + ":\n" + std::string(text);
}

}  // namespace velafs::pgctl
