#include "velafs/fuse/write_cache.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "velafs/fuse/mount_device.h"
#include "velafs/fuse/node_id.h"
#include "velafs/os/unique_fd.h"

namespace velafs::fuse {
namespace {

constexpr size_t kHelpers = 4;
constexpr std::chrono::seconds kPatience{60};  // for a request: what the kernel may hold is little
constexpr size_t kNodesPerRequest = os::Helper::kMostBytes / sizeof(uint64_t);

// A file of a FUSE mount as open_by_handle_at(2) takes it: the type is FILEID_INO64_GEN, and our
// nodes are all of generation 0.
struct Handle {
  static constexpr int kType = 0x81;
  struct Node {
    uint32_t high;
    uint32_t low;
    uint32_t generation;
  };

  Handle() {
    header()->handle_bytes = sizeof(Node);
    header()->handle_type = kType;
    Set(kRootNode);
  }
  file_handle* header() { return reinterpret_cast<file_handle*>(bytes.data()); }
  void Set(uint64_t node_id) {
    const Node node{static_cast<uint32_t>(node_id >> 32), static_cast<uint32_t>(node_id), 0};
    std::memcpy(header()->f_handle, &node, sizeof node);
  }
  bool operator==(const Handle&) const = default;

  alignas(file_handle) std::array<std::byte, sizeof(file_handle) + sizeof(Node)> bytes{};
};

// Whether this kernel's handles are as we make them.
int CheckHandles(int root) {
  Handle found;
  found.Set(0);
  int mount_id = 0;
  if (name_to_handle_at(root, "", found.header(), &mount_id, AT_EMPTY_PATH) != 0) return errno;
  return found == Handle() ? 0 : EOPNOTSUPP;
}

// Closing a file sends what the kernel holds of it, and waits for the answers. An error is told
// once to whoever closes the file, and apart from that to whoever syncs it: nobody is robbed of
// that by this.
int SendNode(int root, uint64_t node_id) {
  Handle handle;
  handle.Set(node_id);
  const int file = open_by_handle_at(root, handle.header(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return errno == ESTALE ? 0 : errno;  // the kernel has forgotten it
  return close(file) == 0 || errno == ESTALE ? 0 : errno;
}

// In the helper. 0, or the errno of the first failure; EXDEV if something else is mounted there.
int SendNodes(const std::string& mountpoint, dev_t device, std::span<const std::byte> request) {
  // Only while it is needed: an open directory keeps a mount from being unmounted.
  const os::UniqueFd root(open(mountpoint.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (root.get() < 0) return errno;
  if (DeviceAt(root.get(), "") != device) return EXDEV;
  if (const int error = CheckHandles(root.get()); error != 0) return error;
  int first_error = 0;
  for (size_t at = 0; at + sizeof(uint64_t) <= request.size(); at += sizeof(uint64_t)) {
    uint64_t node_id = 0;
    std::memcpy(&node_id, request.data() + at, sizeof node_id);
    const int error = SendNode(root.get(), node_id);
    if (first_error == 0) first_error = error;
  }
  return first_error;
}

bool MayOpenByHandle() {
  const os::UniqueFd root(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  Handle handle;
  const os::UniqueFd none(open_by_handle_at(root.get(), handle.header(), O_RDONLY | O_CLOEXEC));
  return none.get() >= 0 || errno != EPERM;
}

}  // namespace

Result<std::unique_ptr<WriteCache>> WriteCache::Start(const std::string& mountpoint) {
  if (!MayOpenByHandle()) return Refused("this process lacks the capability DAC_READ_SEARCH");
  const dev_t device = DeviceAt(mountpoint.c_str());
  std::unique_ptr<WriteCache> cache(new WriteCache);
  constexpr std::array kNeeded = {CAP_DAC_READ_SEARCH};
  for (size_t i = 0; i < kHelpers; ++i) {
    VELAFS_ASSIGN(auto helper, os::Helper::Start(kNeeded, [&](std::span<const std::byte> request) {
                    return SendNodes(mountpoint, device, request);
                  }));
    cache->free_.push_back(helper.get());
    cache->helpers_.push_back(std::move(helper));
    ++cache->living_;
  }
  return cache;
}

Status WriteCache::Ask(std::span<const uint64_t> nodes) {
  while (true) {
    std::unique_lock lock(mutex_);
    is_free_.wait(lock, [&] { return !free_.empty() || living_ == 0; });
    if (living_ == 0) {
      return SystemError(EPIPE, "no process is left that makes the kernel send cached writes");
    }
    os::Helper* const helper = free_.back();
    free_.pop_back();
    lock.unlock();
    const int error = helper->Ask(std::as_bytes(nodes), kPatience);
    lock.lock();
    if (error == EPIPE || error == ETIMEDOUT) {
      --living_;
    } else {
      free_.push_back(helper);
    }
    is_free_.notify_all();
    if (error == 0) return {};
    if (error != EPIPE) return SystemError(error, kCannotStore);
  }
}

bool WriteCache::IsRefusedWrite(const Status& sent) {
  return sent.error_number() == ENOSPC || sent.error_number() == EIO;
}

Status WriteCache::Send(std::span<const uint64_t> nodes) {
  Status first;
  while (!nodes.empty()) {
    const size_t count = std::min(nodes.size(), kNodesPerRequest);
    Status sent = Ask(nodes.first(count));
    const bool goes_on = sent.ok() || IsRefusedWrite(sent);
    if (first.ok()) first = std::move(sent);
    if (!goes_on) break;
    nodes = nodes.subspan(count);
  }
  return first;
}

}  // namespace velafs::fuse
