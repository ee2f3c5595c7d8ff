// A disk with a write cache that a power cut empties.
//
//   volatile_disk IMAGE DIRECTORY [--sector BYTES] [--seed NUMBER]
//
// Mounts a filesystem at DIRECTORY that holds one file, of IMAGE's name and size, to be set up as a
// loop device. What is written to the file is kept in memory until the file is synced (which is
// what a loop device makes of its filesystem's flushes), and only then goes to IMAGE.
//
// SIGUSR1 cuts the power: no request is answered any more; of the sectors not synced yet, a random
// subset reaches IMAGE, the rest is lost; a line on standard output says how many and from which
// seed; and the process ends, with status 0. A sector that was written twice since the last sync
// may also be there as it was in between: a cache keeps no order. Unmounting ends it without any
// loss.
#define FUSE_USE_VERSION 312
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using Bytes = std::span<std::byte>;
using ConstBytes = std::span<const std::byte>;

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "volatile_disk: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

// Errors of IMAGE itself end the process: a test that goes on with a broken disk proves nothing.
// Thread-safe.
class Disk {
 public:
  Disk(const char* image, uint64_t sector_bytes, uint64_t seed)
      : sector_bytes_(sector_bytes), random_(seed), fd_(open(image, O_RDWR | O_CLOEXEC)) {
    struct stat info {};
    if (fd_ < 0 || fstat(fd_, &info) != 0) Die(image);
    size_bytes_ = static_cast<uint64_t>(info.st_size) / sector_bytes_ * sector_bytes_;
  }

  uint64_t size_bytes() const { return size_bytes_; }

  // Returns the bytes that lie before the disk's end.
  size_t Read(uint64_t offset, Bytes into) {
    const std::lock_guard lock(mutex_);
    return ReadLocked(offset, into);
  }

  // False when it does not fit the disk.
  bool Write(uint64_t offset, ConstBytes data) {
    const std::lock_guard lock(mutex_);
    if (offset > size_bytes_ || data.size() > size_bytes_ - offset) return false;
    while (!data.empty()) {
      const uint64_t within = offset % sector_bytes_;
      const size_t length = std::min<size_t>(data.size(), sector_bytes_ - within);
      WriteSector(offset / sector_bytes_, within, data.first(length));
      offset += length;
      data = data.subspan(length);
    }
    return true;
  }

  void Sync() {
    const std::lock_guard lock(mutex_);
    for (const auto& [sector, content] : unsynced_) Store(sector, content);
    unsynced_.clear();
  }

  // Ends the process.
  [[noreturn]] void CutPower() {
    mutex_.lock();  // for good
    const double chance = std::uniform_real_distribution<>(0, 1)(random_);
    size_t kept = 0;
    for (const auto& [sector, content] : unsynced_) {
      if (!Happens(chance)) continue;
      Store(sector, content);
      ++kept;
    }
    std::printf("power cut: of %zu unsynced sectors, %zu were kept\n", unsynced_.size(), kept);
    std::fflush(stdout);
    _exit(0);
  }

 private:
  using Sector = std::vector<std::byte>;

  size_t ReadLocked(uint64_t offset, Bytes into) {
    if (offset >= size_bytes_) return 0;
    into = into.first(std::min<size_t>(into.size(), size_bytes_ - offset));
    const ssize_t got = pread(fd_, into.data(), into.size(), static_cast<off_t>(offset));
    if (got != static_cast<ssize_t>(into.size())) Die("cannot read the image");
    const uint64_t end = offset + into.size();
    auto cached = unsynced_.lower_bound(offset / sector_bytes_);
    for (; cached != unsynced_.end() && cached->first * sector_bytes_ < end; ++cached) {
      const uint64_t begin = cached->first * sector_bytes_;
      const uint64_t from = std::max(begin, offset);
      const uint64_t to = std::min(begin + sector_bytes_, end);
      std::memcpy(&into[from - offset], &cached->second[from - begin], to - from);
    }
    return into.size();
  }

  void WriteSector(uint64_t number, uint64_t within, ConstBytes data) {
    auto [cached, is_new] = unsynced_.try_emplace(number);
    if (is_new) {
      Sector content(sector_bytes_);
      const auto at = static_cast<off_t>(number * sector_bytes_);
      const bool whole = data.size() == sector_bytes_;
      if (!whole && pread(fd_, content.data(), content.size(), at) < 0)
        Die("cannot read the image");
      cached->second = std::move(content);
    } else if (Happens(kChanceOfEarlyWriting)) {
      Store(number, cached->second);
    }
    std::copy(data.begin(), data.end(), cached->second.begin() + static_cast<ptrdiff_t>(within));
  }

  void Store(uint64_t sector, const Sector& content) {
    const auto at = static_cast<off_t>(sector * sector_bytes_);
    const ssize_t put = pwrite(fd_, content.data(), content.size(), at);
    if (put != static_cast<ssize_t>(content.size())) Die("cannot write the image");
  }

  bool Happens(double chance) { return std::bernoulli_distribution(chance)(random_); }

  static constexpr double kChanceOfEarlyWriting = 0.25;

  const uint64_t sector_bytes_;
  std::mutex mutex_;
  std::mt19937_64 random_;
  std::map<uint64_t, Sector> unsynced_;
  const int fd_;
  uint64_t size_bytes_ = 0;
};

struct Filesystem {
  Disk& disk;
  std::string file_name;
};

constexpr fuse_ino_t kFileNode = FUSE_ROOT_ID + 1;
constexpr double kCacheSeconds = 86400;

Filesystem& Of(fuse_req_t request) { return *static_cast<Filesystem*>(fuse_req_userdata(request)); }

struct stat AttributesOf(const Filesystem& filesystem, fuse_ino_t node) {
  struct stat attributes {};
  attributes.st_ino = node;
  attributes.st_mode = node == kFileNode ? S_IFREG | 0600 : S_IFDIR | 0700;
  attributes.st_nlink = 1;
  if (node == kFileNode) attributes.st_size = static_cast<off_t>(filesystem.disk.size_bytes());
  return attributes;
}

fuse_lowlevel_ops MakeCallbacks() {
  fuse_lowlevel_ops ops{};
  ops.lookup = [](fuse_req_t request, fuse_ino_t, const char* name) {
    if (Of(request).file_name != name) {
      fuse_reply_err(request, ENOENT);
      return;
    }
    fuse_entry_param entry{};
    entry.ino = kFileNode;
    entry.attr = AttributesOf(Of(request), kFileNode);
    entry.attr_timeout = entry.entry_timeout = kCacheSeconds;
    fuse_reply_entry(request, &entry);
  };
  ops.getattr = [](fuse_req_t request, fuse_ino_t node, fuse_file_info*) {
    const struct stat attributes = AttributesOf(Of(request), node);
    fuse_reply_attr(request, &attributes, kCacheSeconds);
  };
  ops.open = [](fuse_req_t request, fuse_ino_t, fuse_file_info* file) {
    file->direct_io = 1;  // the kernel is to keep nothing back: what it keeps would not be lost
    fuse_reply_open(request, file);
  };
  ops.read = [](fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info*) {
    std::vector<std::byte> content(size);
    const size_t got = Of(request).disk.Read(static_cast<uint64_t>(offset), content);
    fuse_reply_buf(request, reinterpret_cast<const char*>(content.data()), got);
  };
  ops.write = [](fuse_req_t request, fuse_ino_t, const char* data, size_t size, off_t offset,
                 fuse_file_info*) {
    const auto bytes = std::as_bytes(std::span(data, size));
    if (Of(request).disk.Write(static_cast<uint64_t>(offset), bytes)) {
      fuse_reply_write(request, size);
    } else {
      fuse_reply_err(request, ENOSPC);
    }
  };
  ops.fsync = [](fuse_req_t request, fuse_ino_t, int, fuse_file_info*) {
    Of(request).disk.Sync();
    fuse_reply_err(request, 0);
  };
  return ops;
}

void Serve(Filesystem& filesystem, const char* directory) {
  fuse_args arguments = FUSE_ARGS_INIT(0, nullptr);
  for (const char* word : {"volatile_disk", "-o", "fsname=volatile_disk"}) {
    fuse_opt_add_arg(&arguments, word);
  }
  const fuse_lowlevel_ops callbacks = MakeCallbacks();
  fuse_session* session = fuse_session_new(&arguments, &callbacks, sizeof callbacks, &filesystem);
  fuse_opt_free_args(&arguments);
  if (session == nullptr || fuse_session_mount(session, directory) != 0) Die(directory);
  fuse_session_loop(session);
  fuse_session_destroy(session);
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t sector_bytes = 4096;
  uint64_t seed = std::random_device()();
  for (int i = 3; i + 1 < argc; i += 2) {
    const std::string_view option = argv[i];
    const uint64_t value = std::strtoull(argv[i + 1], nullptr, 10);
    if (option == "--sector") sector_bytes = value;
    if (option == "--seed") seed = value;
  }
  if (argc < 3 || argc % 2 == 0 || sector_bytes == 0) {
    std::fprintf(stderr, "volatile_disk IMAGE DIRECTORY [--sector BYTES] [--seed NUMBER]\n");
    return 2;
  }
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);

  Disk disk(argv[1], sector_bytes, seed);
  // Blocked before there are threads: only the one below takes it.
  sigset_t cut;
  sigemptyset(&cut);
  sigaddset(&cut, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &cut, nullptr);
  std::thread([&disk, cut] {
    int signal_number = 0;
    sigwait(&cut, &signal_number);
    disk.CutPower();
  }).detach();

  const std::string_view image = argv[1];
  Filesystem filesystem{disk, std::string(image.substr(image.rfind('/') + 1))};
  Serve(filesystem, argv[2]);
  disk.Sync();
  return 0;
}
