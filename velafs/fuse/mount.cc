#include "velafs/fuse/mount.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/filesystem.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <thread>
#include <vector>

#include "velafs/fuse/fusermount.h"
#include "velafs/fuse/idle_polling.h"
#include "velafs/fuse/lowlevel.h"
#include "velafs/fuse/mount_device.h"
#include "velafs/fuse/node_id.h"
#include "velafs/fuse/operations.h"
#include "velafs/fuse/write_cache.h"
#include "velafs/layer/branch.h"
#include "velafs/layer/volume.h"
#include "velafs/os/helper.h"
#include "velafs/os/unique_fd.h"
#include "velafs/store/mounted_store.h"

namespace velafs::fuse {
namespace {

constexpr unsigned kMaxThreads = 64;  // a commit keeps one busy for as long as the disk takes
// Each keeps buffers of about 2 MiB and a descriptor, so more of them end. To begin one takes 50
// us.
constexpr unsigned kMostIdleThreads = 8;
constexpr int kWakeSignal = SIGUSR1;

// The last message of libfuse: its calls only say that they failed.
thread_local std::string last_complaint;

void Complain(fuse_log_level, const char* format, va_list arguments) {
  char text[512];
  std::vsnprintf(text, sizeof text, format, arguments);
  last_complaint = text;
  while (last_complaint.ends_with('\n')) last_complaint.pop_back();
  spdlog::warn("{}", last_complaint);
}

Status CheckDevice() {
  if (access("/dev/fuse", F_OK) == 0) return {};  // who may open it is for fusermount3 to say
  return Failed("there is no \"/dev/fuse\" on this machine",
                "as root: modprobe fuse; a container needs --device /dev/fuse --cap-add SYS_ADMIN");
}

Status CheckMountpoint(const std::string& mountpoint) {
  struct stat at {};
  struct stat above {};
  if (stat(mountpoint.c_str(), &at) != 0) {
    return SystemError(errno, "cannot use \"" + mountpoint + "\" as mountpoint")
        .WithHint("`mkdir -p " + mountpoint + "` makes it");
  }
  if (!S_ISDIR(at.st_mode))
    return UsageError("mountpoint \"" + mountpoint + "\" is not a directory");
  if (stat((mountpoint + "/..").c_str(), &above) == 0 && above.st_dev != at.st_dev) {
    return Refused("something is mounted at \"" + mountpoint + "\" already",
                   "name another mountpoint, or unmount it first");
  }
  boost::system::error_code error;
  if (!boost::filesystem::is_empty(mountpoint, error) && !error) {
    return Refused("mountpoint \"" + mountpoint + "\" is not empty",
                   "a mount would hide what is in it; name an empty directory");
  }
  return {};
}

// Keeps what fusermount3, a child of libfuse's, says on standard error: it is part of our message.
class StderrCapture {
 public:
  StderrCapture() : kept_(dup(STDERR_FILENO)), text_(memfd_create("stderr", MFD_CLOEXEC)) {
    if (kept_ && text_) dup2(text_.get(), STDERR_FILENO);
  }
  // Its last line.
  std::string Finish() {
    if (!kept_ || !text_) return {};
    dup2(kept_.get(), STDERR_FILENO);
    std::array<char, 1024> buffer;
    const ssize_t got = pread(text_.get(), buffer.data(), buffer.size(), 0);
    std::string text(buffer.data(), got > 0 ? static_cast<size_t>(got) : 0);
    while (text.ends_with('\n')) text.pop_back();
    return text.substr(text.rfind('\n') + 1);  // npos + 1 is 0
  }

 private:
  const os::UniqueFd kept_;
  const os::UniqueFd text_;
};

// The fusermount3 that PATH leads to; empty when there is none.
std::string FusermountProgram() {
  const char* path = std::getenv("PATH");
  std::istringstream directories(path != nullptr ? path : "/usr/bin:/bin");
  for (std::string directory; std::getline(directories, directory, ':');) {
    std::string program = directory + "/fusermount3";
    if (access(program.c_str(), X_OK) == 0) return program;
  }
  return {};
}

// Finds what this process lacks to mount, as far as it can tell.
std::string MountHint(const std::string& mountpoint) {
  if (geteuid() == 0)
    return "mounting needs the capability SYS_ADMIN: start the container with --cap-add SYS_ADMIN";
  const std::string program = FusermountProgram();
  if (program.empty()) return "mounting as a user needs fusermount3: apt-get install fuse3";
  struct stat info {};
  if (stat(program.c_str(), &info) == 0 && (info.st_uid != 0 || (info.st_mode & S_ISUID) == 0)) {
    return "\"" + program + "\" must be setuid root: reinstall package fuse3";
  }
  if (access("/dev/fuse", R_OK | W_OK) != 0) {
    return "this user may not open \"/dev/fuse\": as root, `chmod 666 /dev/fuse`";
  }
  if (access(mountpoint.c_str(), W_OK) != 0) {
    return "the user who mounts must be able to write to the mountpoint";
  }
  return {};
}

// A value among libfuse's options.
std::string Escaped(const std::string& value) {
  std::string escaped;
  for (const char c : value) {
    if (c == ',' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

// Tells the kernel something of the mount's device. Only root may; a kernel that does not know it,
// or refuses, goes on with what it has.
void SetDevice(const std::string& mountpoint, const std::string& attribute, uint64_t value) {
  const dev_t device = DeviceAt(mountpoint.c_str());
  const std::string path = "/sys/class/bdi/" + std::to_string(major(device)) + ":" +
                           std::to_string(minor(device)) + "/" + attribute;
  const os::UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  const std::string text = std::to_string(value);
  if (file.get() >= 0) static_cast<void>(!write(file.get(), text.data(), text.size()));
}

// Chunks are decompressed and verified on several processors at once only when the kernel asks for
// several at once. Before its first request: what it offers then is the most there will be.
void WidenReadahead(const std::string& mountpoint) {
  SetDevice(mountpoint, "read_ahead_kb", kReadaheadBytes / 1024);
}

// How much the kernel may hold written and not sent, on machines of any size: what is lost when the
// daemon is killed, and what a freeze has to wait for. By default it is a share of the memory.
void BoundWriteCache(const std::string& mountpoint) {
  constexpr uint64_t kMostBytes = uint64_t{64} << 20;
  SetDevice(mountpoint, "max_bytes", kMostBytes);
}

// The request to the process that unmounts.
constexpr std::byte kUnmount{1};
constexpr std::byte kDetach{2};  // in use or not
constexpr std::byte kAbort{3};   // the same, and as root: who waits for an answer gets an error

// In that process. 0, or an errno: EBUSY while it is in use, EXDEV if another mount is there.
int UnmountAt(const std::string& mountpoint, dev_t device, std::span<const std::byte> how) {
  if (DeviceAt(mountpoint.c_str()) != device) return EXDEV;
  const bool detach = how.front() != kUnmount;
  if (geteuid() == 0) {
    const int flags = UMOUNT_NOFOLLOW | (detach ? MNT_DETACH : 0);
    // Refused in a user namespace before Linux 6.16.
    if (how.front() == kAbort && umount2(mountpoint.c_str(), flags | MNT_FORCE) == 0) return 0;
    return umount2(mountpoint.c_str(), flags) == 0 ? 0 : errno;
  }
  std::vector<std::string> words = {"-u", "--", mountpoint};
  if (detach) words.insert(words.begin() + 1, "-z");
  return RunFusermount(std::move(words)) ? 0 : EBUSY;
}

// To unmount takes the right to mount, or a program that has it: this process gives up both.
Result<std::unique_ptr<os::Helper>> StartUnmounter(const std::string& mountpoint) {
  // Others than root may keep everybody out of a directory above it.
  constexpr std::array kNeeded = {CAP_SYS_ADMIN, CAP_DAC_READ_SEARCH};
  const dev_t device = DeviceAt(mountpoint.c_str());
  return os::Helper::Start(kNeeded, [&mountpoint, device](std::span<const std::byte> how) {
    return UnmountAt(mountpoint, device, how);
  });
}

class SessionMount : public Mount {
 public:
  SessionMount(const store::MountedStore& store, std::string mountpoint,
               const MountOptions& options)
      : store_(store), mountpoint_(std::move(mountpoint)), options_(options), operations_(store) {}
  ~SessionMount() override;

  Status Begin();
  Status Serve() override;
  Status Unmount() override;
  void Stop() override;

  void BranchAdded(const std::string& name) override;
  void BranchRemoved(const std::string& name) override;
  Status SendWrites(layer::Branch& branch) override;

 private:
  void StartWriteCache();
  // Has the kernel send what it holds of those files, and forget it all: they are read anew.
  Status DropCached(std::span<const uint64_t> nodes) REQUIRES_SHARED(unmounting_);
  // Has the kernel send all it holds. What cannot be stored is in the log.
  void SendAllWrites();
  int AskUnmounter(std::byte how);
  // Once requests are not answered any more: who waits for an answer gets an error. To be called at
  // once, since the kernel gives the device of a mount that is gone to another one.
  void AbortIfMounted();
  void EndSession() REQUIRES(unmounting_);  // Serve has returned when this does

  const store::MountedStore store_;
  const std::string mountpoint_;
  const MountOptions options_;
  Operations operations_;
  std::unique_ptr<os::Helper> unmounter_;
  fuse_session* session_ = nullptr;
  // Null on a mount that is write-through.
  std::unique_ptr<WriteCache> write_cache_;
  std::unique_ptr<LostWrites> lost_writes_;
  SharedMutex unmounting_;                         // shared by who has the kernel send writes
  bool is_ended_ GUARDED_BY(unmounting_) = false;  // requests are not answered any more
  std::atomic<bool> is_mounted_ = false;           // until it is known to be gone
  pthread_t server_{};
  std::atomic<bool> is_serving_ = false;
};

SessionMount::~SessionMount() {
  if (session_ == nullptr) return;
  AbortIfMounted();
  store_.SetMount("", nullptr);
  if (lost_writes_) lost_writes_->End();
  fuse_session_unmount(session_);  // if no other has
  fuse_session_destroy(session_);
}

Status SessionMount::Begin() {
  std::string options = "default_permissions,subtype=velafs,fsname=";
  options += Escaped(MountSource(store_.root()));
  if (geteuid() == 0) options += ",allow_other";
  fuse_args arguments = FUSE_ARGS_INIT(0, nullptr);
  fuse_opt_add_arg(&arguments, "velafs");
  fuse_opt_add_arg(&arguments, "-o");
  fuse_opt_add_arg(&arguments, options.c_str());
  last_complaint.clear();
  session_ = fuse_session_new(&arguments, &Operations::Callbacks(), sizeof(fuse_lowlevel_ops),
                              &operations_);
  fuse_opt_free_args(&arguments);
  StderrCapture capture;
  const bool mounted =
      session_ != nullptr && fuse_session_mount(session_, mountpoint_.c_str()) == 0;
  std::string why = capture.Finish();
  if (!mounted) {
    if (why.empty()) why = last_complaint.empty() ? "mounting failed" : last_complaint;
    return Failed("cannot mount at \"" + mountpoint_ + "\": " + why, MountHint(mountpoint_));
  }
  is_mounted_ = true;
  VELAFS_TRY(Operations::SetTransport(session_));
  if (geteuid() == 0) WidenReadahead(mountpoint_);
  VELAFS_ASSIGN(unmounter_, StartUnmounter(mountpoint_));
  if (geteuid() == 0 && !options_.write_through) StartWriteCache();
  store_.SetMount(mountpoint_, this);
  return {};
}

void SessionMount::StartWriteCache() {
  auto cache = WriteCache::Start(mountpoint_);
  if (!cache.ok()) {
    return spdlog::warn("writes are not cached: {}", cache.status().message());
  }
  write_cache_ = *std::move(cache);
  lost_writes_ = std::make_unique<LostWrites>([this](const LostWrites::Write& write) {
    fuse_lowlevel_notify_inval_inode(session_, write.node_id,
                                     static_cast<off_t>(write.range.offset_bytes),
                                     static_cast<off_t>(write.range.length_bytes));
  });
  BoundWriteCache(mountpoint_);
  // Memory that the daemon asks for must not wait for pages that the kernel is to send it first.
  prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
  operations_.SetWriteCached(true);
  operations_.SetLostWrites(lost_writes_.get());
}

Status SessionMount::Serve() {
  // Stop interrupts this thread's wait with a signal that does nothing else.
  struct sigaction wake {};
  wake.sa_handler = [](int) {};
  sigaction(kWakeSignal, &wake, nullptr);

  fuse_loop_config* config = fuse_loop_cfg_create();
  fuse_loop_cfg_set_clone_fd(config, 1);
  fuse_loop_cfg_set_max_threads(config, kMaxThreads);
  fuse_loop_cfg_set_idle_threads(config, kMostIdleThreads);
  if (options_.idle_polling) operations_.SetIdlePolling(IdlePolling::Start());
  server_ = pthread_self();
  is_serving_ = true;
  const int result = fuse_session_loop_mt(session_, config);
  is_serving_ = false;
  fuse_loop_cfg_destroy(config);
  AbortIfMounted();
  if (result >= 0) return {};
  return SystemError(-result, "cannot serve \"" + mountpoint_ + "\"");
}

Status SessionMount::Unmount() {
  // The kernel sees none that got here through another mount namespace.
  VELAFS_TRY(store_.CheckNoServers().WithContext("cannot unmount \"" + mountpoint_ + "\""));
  SendAllWrites();
  WriterLock lock(unmounting_);
  const int error_number = AskUnmounter(kUnmount);
  if (error_number == 0) {
    is_mounted_ = false;
    EndSession();  // which another mount namespace may hold on to
    return {};
  }
  if (error_number == EXDEV) {
    return Refused("cannot unmount \"" + mountpoint_ + "\": something else is mounted there",
                   "unmount that first");
  }
  if (error_number != EBUSY) {
    return SystemError(error_number, "cannot unmount \"" + mountpoint_ + "\"");
  }
  return Refused("cannot unmount \"" + mountpoint_ + "\": it is in use",
                 "a process works in one of its directories or has a file open: see fuser -vm \"" +
                     mountpoint_ + "\"");
}

void SessionMount::Stop() {
  SendAllWrites();
  WriterLock lock(unmounting_);
  if (AskUnmounter(kDetach) == 0) is_mounted_ = false;
  EndSession();
}

void SessionMount::EndSession() {
  is_ended_ = true;
  if (lost_writes_) lost_writes_->End();  // while what it waits for is answered
  fuse_session_exit(session_);
  while (is_serving_) {
    pthread_kill(server_, kWakeSignal);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

void SessionMount::AbortIfMounted() {
  if (!is_mounted_ || !unmounter_) return;
  const int error_number = AskUnmounter(kAbort);
  if (error_number == 0 || error_number == EXDEV) is_mounted_ = false;
}

int SessionMount::AskUnmounter(std::byte how) { return unmounter_->Ask(std::span(&how, 1)); }

Status SessionMount::SendWrites(layer::Branch& branch) {
  if (!write_cache_) return {};
  std::vector<uint64_t> nodes;
  for (const InodeNumber ino : branch.ReferredFiles()) {
    nodes.push_back(ToNodeId(branch.instance(), ino));
  }
  ReaderLock lock(unmounting_);
  if (is_ended_) return {};
  const uint64_t lost_before = lost_writes_->noted();
  Status sent = write_cache_->Send(nodes);
  if (!sent.ok() && !WriteCache::IsRefusedWrite(sent)) {
    spdlog::warn("branch \"{}\": {}: its files leave the kernel's cache instead", branch.name(),
                 sent.message());
    sent = DropCached(nodes);
  }
  if (sent.ok() && lost_writes_->noted() == lost_before) return {};
  // The kernel says EIO for most.
  const int error_number = lost_writes_->ErrorAmong(nodes);
  if (error_number == 0) return sent;
  return SystemError(error_number, WriteCache::kCannotStore);
}

Status SessionMount::DropCached(std::span<const uint64_t> nodes) {
  for (const uint64_t node_id : nodes) {
    const int outcome = fuse_lowlevel_notify_inval_inode(session_, node_id, 0, 0);
    if (outcome != 0 && outcome != -ENOENT) return SystemError(-outcome, WriteCache::kCannotStore);
  }
  return {};
}

void SessionMount::SendAllWrites() {
  for (const auto& branch : store_.volume().OpenBranches()) {
    const Status sent = SendWrites(*branch);
    if (!sent.ok()) spdlog::error("branch \"{}\": {}", branch->name(), sent.message());
  }
}

void SessionMount::BranchAdded(const std::string&) {
  // A listing of the branches the kernel may have kept is out of date.
  fuse_lowlevel_notify_inval_inode(session_, kRootNode, 0, 0);
}

void SessionMount::BranchRemoved(const std::string& name) {
  fuse_lowlevel_notify_inval_entry(session_, kRootNode, name.c_str(), name.size());
  fuse_lowlevel_notify_inval_inode(session_, kRootNode, 0, 0);
}

}  // namespace

std::string MountSource(const std::string& store_directory) {
  boost::system::error_code error;
  const boost::filesystem::path real = boost::filesystem::canonical(store_directory, error);
  return error ? store_directory : real.string();
}

Result<std::unique_ptr<Mount>> Mount::Start(const store::MountedStore& store,
                                            const std::string& mountpoint,
                                            const MountOptions& options) {
  VELAFS_TRY(CheckDevice());
  VELAFS_TRY(CheckMountpoint(mountpoint));
  fuse_set_log_func(Complain);
  auto mount = std::make_unique<SessionMount>(store, mountpoint, options);
  VELAFS_TRY(mount->Begin());
  return std::unique_ptr<Mount>(std::move(mount));
}

}  // namespace velafs::fuse
