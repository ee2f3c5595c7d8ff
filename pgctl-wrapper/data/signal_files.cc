#include "pgctl-wrapper/data/signal_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "pgctl-wrapper/process/text_file.h"

namespace velafs::pgctl {
namespace {

constexpr const char* kSignalFiles[] = {"standby.signal", "recovery.signal", "recovery.conf"};
constexpr std::string_view kAside = ".velapg";
constexpr std::string_view kMadeByUs = "made by velapg\n";

std::string AsidePath(const std::string& path) { return path + std::string(kAside); }

Status RemoveIfThere(const std::string& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return SystemError(errno, "cannot remove \"" + path + "\"");
}

Status RemoveIfMadeByUs(const std::string& path) {
  const Result<std::string> text = ReadBoundedFile(path, kMadeByUs.size());
  return text.ok() && *text == kMadeByUs ? RemoveIfThere(path) : Status();
}

}  // namespace

bool HasSignalFile(const std::string& data_dir, const std::string& name) {
  struct stat info {};
  return lstat((data_dir + "/" + name).c_str(), &info) == 0;
}

Status SignalFiles::PutBack(const std::string& data_dir) {
  VELAFS_TRY(RemoveIfMadeByUs(data_dir + "/recovery.signal"));
  for (const std::string name : kSignalFiles) {
    const std::string path = data_dir + "/" + name;
    if (!HasSignalFile(data_dir, name + std::string(kAside))) continue;
    if (HasSignalFile(data_dir, name)) {  // made anew since
      VELAFS_TRY(RemoveIfThere(AsidePath(path)));
    } else if (rename(AsidePath(path).c_str(), path.c_str()) != 0) {
      return SystemError(errno, "cannot put back \"" + path + "\"");
    }
  }
  return {};
}

Result<SignalFiles> SignalFiles::PutAside(const std::string& data_dir, int version) {
  SignalFiles files(data_dir);
  for (const std::string name : kSignalFiles) {
    if ((name == "recovery.conf") != (version < 12)) continue;
    const std::string path = data_dir + "/" + name;
    if (rename(path.c_str(), AsidePath(path).c_str()) == 0) {
      files.aside_.push_back(name);
    } else if (errno != ENOENT) {
      return SystemError(errno, "cannot put aside \"" + path + "\"");
    }
  }
  return files;
}

SignalFiles::SignalFiles(SignalFiles&& other) noexcept
    : data_dir_(std::move(other.data_dir_)),
      aside_(std::move(other.aside_)),
      is_done_(std::exchange(other.is_done_, true)) {}

SignalFiles::~SignalFiles() {
  if (!is_done_) (void)PutBack(data_dir_);  // else the next start does
}

Status SignalFiles::MakeRecoverySignal() {
  return WriteTextFile(data_dir_ + "/recovery.signal", kMadeByUs);
}

Result<std::vector<Override>> SignalFiles::Commit() {
  std::vector<Override> removed;
  for (const std::string& name : aside_) {
    VELAFS_TRY(RemoveIfThere(AsidePath(data_dir_ + "/" + name)));
    const bool reads_archive = name == "recovery.signal";
    removed.push_back({name, "removed",
                       reads_archive ? "would have it read production's WAL archive"
                                     : "would start it as a standby"});
  }
  is_done_ = true;
  return removed;
}

}  // namespace velafs::pgctl
