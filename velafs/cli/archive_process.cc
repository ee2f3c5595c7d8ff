#include "velafs/cli/archive_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <filesystem>
#include <map>
#include <utility>

#include "velafs/base/text.h"
#include "velafs/cli/interrupt.h"
#include "velafs/os/confinement.h"

namespace velafs::cli {
namespace {

constexpr size_t kMaxOthers = 900;
constexpr int kPipeBytes = 1024 * 1024;
constexpr int kLookAgainMs = 200;

// "base" and ".tar.gz" of base.tar.gz; two empty ones for another name.
std::pair<std::string, std::string> SplitTarName(const std::string& file) {
  const size_t dot = file.find(".tar");
  if (dot == std::string::npos || dot == 0) return {};
  const bool is_end = file.size() == dot + 4 || file[dot + 4] == '.';
  return is_end ? std::pair(file.substr(0, dot), file.substr(dot))
                : std::pair<std::string, std::string>();
}

// Those that a base backup may have: by name, NAME.tar or NAME.tar with the suffix of a
// compression. Of several for a name it is the one with that suffix, or the first.
std::map<std::string, std::filesystem::path> FindTars(const std::filesystem::path& directory,
                                                      const std::string& suffix) {
  std::map<std::string, std::filesystem::path> found;
  std::error_code error;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    const std::string file = at->path().filename();
    const auto [name, its_suffix] = SplitTarName(file);
    const bool is_oid = !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
    if (!is_oid && name != "pg_wal" && name != "base") continue;
    std::filesystem::path& path = found[name];
    if (path.empty() || its_suffix == suffix ||
        (path.filename() != name + suffix && file < path.filename())) {
      path = at->path();
    }
  }
  return found;
}

[[noreturn]] void ParseAndExit(const OpenArchive& first, const std::vector<OpenArchive>& others,
                               int to) {
  // Names in archives are UTF-8, or bytes, which stay what they are.
  std::setlocale(LC_CTYPE, "C.UTF-8");
  store::MemberWriter out([to](std::span<const std::byte> bytes) -> Status {
    while (!bytes.empty()) {
      const ssize_t done = write(to, bytes.data(), bytes.size());
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) return SystemError(errno, "cannot write the members");
      bytes = bytes.subspan(static_cast<size_t>(done));
    }
    return {};
  });
  Status confined = os::ConfineToOpenFiles();
  const Status written = confined.ok() ? WriteMembers(first, others, out) : out.End(confined);
  _exit(written.ok() ? 0 : 1);
}

// Closes all descriptors of the process but its input and output.
void CloseAllBut(std::vector<int> kept) {
  std::ranges::sort(kept);
  unsigned next = 0;
  for (const int fd : kept) {
    if (static_cast<unsigned>(fd) > next) close_range(next, static_cast<unsigned>(fd) - 1, 0);
    next = static_cast<unsigned>(fd) + 1;
  }
  close_range(next, ~0u, 0);
}

}  // namespace

ArchiveProcess::~ArchiveProcess() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

Status ArchiveProcess::Start(const std::string& tar) {
  VELAFS_TRY(Open(tar));
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return SystemError(errno, "cannot make a pipe");
  members_.Reset(ends[0]);
  const os::UniqueFd to(ends[1]);
  fcntl(to.get(), F_SETPIPE_SZ, kPipeBytes);
  pid_ = fork();
  if (pid_ < 0) return SystemError(errno, "cannot start a process");
  if (pid_ > 0) return {};
  // A terminal sends them to both; this process is ended by its parent.
  for (const int number : {SIGINT, SIGTERM}) signal(number, SIG_IGN);
  std::vector<int> kept = {first_.get(), to.get()};
  for (const OpenArchive& other : others_) kept.push_back(other.fd);
  CloseAllBut(std::move(kept));
  ParseAndExit({"base", first_.get()}, others_, to.get());
}

Status ArchiveProcess::Open(const std::string& given) {
  std::error_code error;
  std::string tar = given;
  if (given == "-") {
    first_.Reset(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0));
    return first_ ? Status() : SystemError(errno, "cannot read standard input");
  }
  if (std::filesystem::is_directory(tar, error)) {
    const std::map<std::string, std::filesystem::path> found = FindTars(tar, ".tar");
    if (!found.contains("base")) {
      return Refused(Quoted(given) + " is a directory without a base.tar",
                     "--from-dir imports a PGDATA that is not in an archive");
    }
    tar = found.at("base");
  }
  // Of a directory whoever may write there could have made a link of it, or a FIFO.
  const int not_named = tar == given ? 0 : O_NOFOLLOW | O_NONBLOCK;
  first_.Reset(open(tar.c_str(), O_RDONLY | O_CLOEXEC | not_named));
  if (!first_ && errno == ENOENT) return NotFound("there is no file " + Quoted(tar));
  if (!first_) return SystemError(errno, "cannot read " + Quoted(tar));
  struct stat info {};
  if (fstat(first_.get(), &info) == 0 && S_ISREG(info.st_mode)) {
    bytes_total_ = static_cast<uint64_t>(info.st_size);
    OpenBeside(tar);
  }
  return {};
}

// Which of them the backup needs, the process will see.
void ArchiveProcess::OpenBeside(const std::string& tar) {
  const std::filesystem::path path = std::filesystem::absolute(tar);
  const std::string suffix = SplitTarName(path.filename()).second;
  for (const auto& [name, beside] : FindTars(path.parent_path(), suffix)) {
    if (name == "base" || opened_.size() >= kMaxOthers) continue;
    // The command names none of these: whoever may write to the directory could have made links.
    os::UniqueFd fd(open(beside.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat info {};
    if (!fd || fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    others_.push_back({name, fd.get()});
    opened_.push_back(std::move(fd));
  }
}

Result<size_t> ArchiveProcess::Read(std::span<std::byte> into) {
  while (!stop_) {
    // A signal that comes just before a read would not end its wait.
    if (Interrupted()) return Failed("interrupted");
    pollfd readable{members_.get(), POLLIN, 0};
    if (poll(&readable, 1, kLookAgainMs) <= 0) continue;
    const ssize_t got = read(members_.get(), into.data(), into.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return SystemError(errno, "cannot read an archive's members");
    if (got == 0) VELAFS_TRY(End());
    return static_cast<size_t>(got);
  }
  return size_t{0};
}

Status ArchiveProcess::End() {
  int status = 0;
  if (waitpid(std::exchange(pid_, 0), &status, 0) < 0 ||
      (WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
    return {};
  }
  return Failed(WIFSIGNALED(status) ? "the process that reads the archive was ended by signal " +
                                          std::to_string(WTERMSIG(status))
                                    : std::string("the process that reads the archive has failed"));
}

void ArchiveProcess::Stop() { stop_ = true; }

uint64_t ArchiveProcess::bytes_read() const {
  const off_t at = bytes_total_ == 0 ? 0 : lseek(first_.get(), 0, SEEK_CUR);
  return at < 0 ? 0 : static_cast<uint64_t>(at);
}

}  // namespace velafs::cli
