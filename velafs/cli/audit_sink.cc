#include "velafs/cli/audit_sink.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <vector>

#include "velafs/cli/output.h"
#include "velafs/os/acting_as.h"
#include "velafs/os/unique_fd.h"
#include "velafs/store/users.h"

namespace velafs::cli {
namespace {

Status WriteAll(int fd, const std::string& text, const std::string& name) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t count = write(fd, text.data() + done, text.size() - done);
    if (count < 0 && errno != EINTR) return SystemError(errno, "cannot write to \"" + name + "\"");
    if (count > 0) done += static_cast<size_t>(count);
  }
  return {};
}

class FileSink : public AuditSink {
 public:
  static Result<std::unique_ptr<AuditSink>> Open(const std::string& path) {
    // What is no file, a FIFO say, is not waited for.
    constexpr int kFlags = O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    os::UniqueFd fd(open(path.c_str(), kFlags, S_IRUSR | S_IWUSR));
    const std::string cannot = "cannot ship to \"" + path + "\"";
    if (!fd && (errno == ELOOP || errno == ENXIO || errno == EISDIR)) {
      return Refused(cannot + ": it is not a regular file");
    }
    if (!fd) return SystemError(errno, cannot);
    struct stat info {};
    if (fstat(fd.get(), &info) != 0) return SystemError(errno, cannot);
    if (!S_ISREG(info.st_mode)) return Refused(cannot + ": it is not a regular file");
    auto sink = std::unique_ptr<FileSink>(new FileSink(path, std::move(fd)));
    VELAFS_TRY(sink->FinishLine(info.st_size));
    return std::unique_ptr<AuditSink>(std::move(sink));
  }

  Status Send(const std::string& lines) override {
    VELAFS_TRY(WriteAll(fd_.get(), lines, path_));
    if (fsync(fd_.get()) != 0) return SystemError(errno, "cannot sync \"" + path_ + "\"");
    return {};
  }
  std::vector<std::string> LastLines() const override { return last_lines_; }
  std::string name() const override { return path_; }

 private:
  FileSink(std::string path, os::UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  // Reads the last lines that have an end. One that was cut off gets an end, so that the next is
  // whole; its entry is sent again. The name of a new file is made durable.
  Status FinishLine(off_t size) {
    if (size == 0) return SyncDirectory();
    constexpr off_t kMostOfLine = 1 << 20;
    std::string end(static_cast<size_t>(std::min(size, kMostOfLine)), '\0');
    const ssize_t count = pread(fd_.get(), end.data(), end.size(), size - std::ssize(end));
    if (count != std::ssize(end)) return SystemError(errno, "cannot read \"" + path_ + "\"");
    const size_t last = end.rfind('\n');
    if (last + 1 != end.size()) VELAFS_TRY(WriteAll(fd_.get(), "\n", path_));
    for (size_t line_end = last; line_end != std::string::npos;) {
      const size_t before = line_end == 0 ? std::string::npos : end.rfind('\n', line_end - 1);
      last_lines_.push_back(end.substr(before + 1, line_end - before - 1));
      line_end = before;
    }
    return {};
  }
  Status SyncDirectory() const {
    const std::string directory = std::filesystem::path(path_).parent_path().string();
    const os::UniqueFd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    // A user who may add a file may still not list the directory.
    if (!fd && errno == EACCES) return {};
    if (fd && fsync(fd.get()) == 0) return {};
    return SystemError(errno, "cannot sync \"" + directory + "\"");
  }

  const std::string path_;
  const os::UniqueFd fd_;
  std::vector<std::string> last_lines_;
};

// The host's log, asked directly: syslog(3) does not tell what it has lost.
class SyslogSink : public AuditSink {
 public:
  static Result<std::unique_ptr<AuditSink>> Open() {
    os::UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    if (!fd || connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      return SystemError(errno, "cannot reach the system's log at \"/dev/log\"");
    }
    return std::unique_ptr<AuditSink>(new SyslogSink(std::move(fd)));
  }

  Status Send(const std::string& lines) override {
    for (size_t begin = 0; begin < lines.size();) {
      const size_t end = lines.find('\n', begin);
      const std::string message = Header() + lines.substr(begin, end - begin);
      if (send(fd_.get(), message.data(), message.size(), MSG_NOSIGNAL) < 0) {
        return SystemError(errno, "cannot send to the system's log");
      }
      begin = end + 1;
    }
    return {};
  }
  std::string name() const override { return "syslog"; }

 private:
  explicit SyslogSink(os::UniqueFd fd) : fd_(std::move(fd)) {}

  // As syslog(3) writes it: "<85>Nov 29 12:00:00 velafs[42]: ".
  static std::string Header() {
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    localtime_r(&now, &local);
    char text[32];
    std::strftime(text, sizeof text, "%b %e %H:%M:%S", &local);
    return "<" + std::to_string(LOG_AUTHPRIV | LOG_NOTICE) + ">" + text + " velafs[" +
           std::to_string(getpid()) + "]: ";
  }

  const os::UniqueFd fd_;
};

class OutputSink : public AuditSink {
 public:
  Status Send(const std::string& lines) override { return WriteOut(lines); }
  std::string name() const override { return "-"; }
};

Result<os::ActingAs> ActAs(const std::string& user) {
  VELAFS_ASSIGN(const catalog::FileOwner owner, store::FindUser(user));
  if (geteuid() != 0) return Refused("only root can ship as another user", "leave out --as");
  std::vector<gid_t> groups(1024);
  int count = static_cast<int>(groups.size());
  if (getgrouplist(user.c_str(), owner.gid, groups.data(), &count) < 0) count = 0;
  groups.resize(static_cast<size_t>(count));
  return os::ActingAs::Begin({owner.uid, owner.gid, groups});
}

}  // namespace

std::string AuditSinkName(const std::string& to) {
  if (to == "syslog" || to == "-") return to;
  std::error_code error;
  const std::filesystem::path path = std::filesystem::absolute(to, error);
  return error ? to : path.lexically_normal().string();
}

Result<std::unique_ptr<AuditSink>> OpenAuditSink(const std::string& to,
                                                 const std::optional<std::string>& as_user) {
  if (to == "syslog") return SyslogSink::Open();
  if (to == "-") return std::unique_ptr<AuditSink>(std::make_unique<OutputSink>());
  const std::string path = AuditSinkName(to);
  if (!as_user) return FileSink::Open(path);
  VELAFS_ASSIGN(const os::ActingAs acting, ActAs(*as_user));
  return FileSink::Open(path);
}

}  // namespace velafs::cli
