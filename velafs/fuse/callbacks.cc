// The functions libfuse calls, each one line around an operation, and the one wrapper they share.
#include <fcntl.h>
#include <linux/fuse.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <cerrno>
#include <chrono>
#include <exception>
#include <new>

#include "velafs/base/process_counts.h"
#include "velafs/fuse/node_id.h"
#include "velafs/fuse/operations.h"
#include "velafs/os/unique_fd.h"

namespace velafs::fuse {
namespace {

// Runs an operation on that node and answers the request, exactly once, whatever happens in it.
template <typename Body>
void Answer(fuse_req_t request, fuse_ino_t node, Body body) noexcept {
  int error_number = EIO;
  try {
    Operations& operations = *static_cast<Operations*>(fuse_req_userdata(request));
    operations.CountRequest();
    ++CountsOfProcess().requests;
    Result<Reply> reply = body(operations);
    if (reply.ok()) return Send(request, *reply);
    const Status status = std::move(reply).status();
    operations.TellTrouble(node, status);
    error_number = status.error_number();
  } catch (const std::bad_alloc&) {
    error_number = ENOMEM;
  } catch (const std::exception& failure) {
    spdlog::error("unexpected failure of a request: {}", failure.what());
  }
  CountsOfProcess().CountError(error_number);
  fuse_reply_err(request, error_number);
}

layer::NewNode NodeFor(fuse_req_t request, mode_t mode, dev_t rdev = 0, const char* target = "") {
  const fuse_ctx* caller = fuse_req_ctx(request);
  return {.mode = mode, .uid = caller->uid, .gid = caller->gid, .rdev = rdev, .target = target};
}

pid_t ProcessOf(fuse_req_t request) { return fuse_req_ctx(request)->pid; }

// Declines for good: the kernel stops asking. See Callbacks.
void Decline(fuse_req_t request) { fuse_reply_err(request, ENOSYS); }

void Init(void* userdata, fuse_conn_info* connection) {
  Operations& operations = *static_cast<Operations*>(userdata);
  // All changes come through the kernel, so what it has cached stays true; see ARCHITECTURE.md.
  connection->want &= ~static_cast<unsigned>(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_WRITEBACK_CACHE |
                                             FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_SPLICE_READ |
                                             FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                                             FUSE_CAP_HANDLE_KILLPRIV);
  const unsigned wanted = FUSE_CAP_NO_OPEN_SUPPORT | FUSE_CAP_NO_OPENDIR_SUPPORT |
                          FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_READ | FUSE_CAP_READDIRPLUS |
                          FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_CACHE_SYMLINKS;
  connection->want |= wanted & connection->capable;
  if (operations.is_write_cached()) {
    connection->want |= FUSE_CAP_WRITEBACK_CACHE & connection->capable;
  }
  connection->max_write = 1 << 20;
  connection->max_readahead = kReadaheadBytes;  // the kernel takes what its device says, if less
  connection->max_background = 64;
  connection->congestion_threshold = 48;
  // The kernel keeps the times of files it caches writes of, and tells of a new one before each
  // fsync: with times of 10 ms a commit seldom has a new one.
  connection->time_gran = operations.is_write_cached() ? Operations::kTimeGranularity : 1;
}

fuse_lowlevel_ops MakeCallbacks() {
  fuse_lowlevel_ops ops{};
  ops.init = Init;
  // No handles: with these declined, opening a known file costs no request at all. A directory's
  // listing is the same for everybody but at the root.
  ops.open = [](fuse_req_t request, fuse_ino_t, fuse_file_info*) { Decline(request); };
  ops.opendir = [](fuse_req_t request, fuse_ino_t node, fuse_file_info*) {
    Answer(request, node, [&](Operations& on) { return on.OpenDirectory(node); });
  };
  ops.flush = [](fuse_req_t request, fuse_ino_t, fuse_file_info*) { Decline(request); };
  ops.release = [](fuse_req_t request, fuse_ino_t, fuse_file_info*) { Decline(request); };
  ops.releasedir = [](fuse_req_t request, fuse_ino_t, fuse_file_info*) {
    fuse_reply_err(request, 0);
  };
  // Else the kernel asks for security.capability before every write.
  ops.getxattr = [](fuse_req_t request, fuse_ino_t, const char*, size_t) { Decline(request); };

  ops.lookup = [](fuse_req_t request, fuse_ino_t parent, const char* name) {
    Answer(request, parent, [&](Operations& on) { return on.Lookup(parent, name); });
  };
  ops.forget = [](fuse_req_t request, fuse_ino_t node, uint64_t count) {
    Answer(request, node, [&](Operations& on) { return on.Forget(node, count); });
  };
  ops.forget_multi = [](fuse_req_t request, size_t count, fuse_forget_data* forgets) {
    Answer(request, kRootNode, [&](Operations& on) -> Result<Reply> {
      for (size_t i = 0; i < count; ++i)
        VELAFS_TRY(on.Forget(forgets[i].ino, forgets[i].nlookup).status());
      return Reply(NoAnswer{});
    });
  };
  ops.getattr = [](fuse_req_t request, fuse_ino_t node, fuse_file_info*) {
    Answer(request, node, [&](Operations& on) { return on.GetAttributes(node); });
  };
  ops.setattr = [](fuse_req_t request, fuse_ino_t node, struct stat* wanted, int which,
                   fuse_file_info*) {
    Answer(request, node, [&](Operations& on) { return on.SetAttributes(node, *wanted, which); });
  };
  ops.readlink = [](fuse_req_t request, fuse_ino_t node) {
    Answer(request, node, [&](Operations& on) { return on.ReadLink(node); });
  };
  ops.mknod = [](fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t rdev) {
    Answer(request, parent, [&](Operations& on) {
      return on.Make(parent, name, NodeFor(request, mode, rdev), ProcessOf(request));
    });
  };
  ops.mkdir = [](fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
    Answer(request, parent, [&](Operations& on) {
      return on.Make(parent, name, NodeFor(request, mode | S_IFDIR), ProcessOf(request));
    });
  };
  ops.symlink = [](fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
    Answer(request, parent, [&](Operations& on) {
      return on.Make(parent, name, NodeFor(request, S_IFLNK | 0777, 0, target), ProcessOf(request));
    });
  };
  ops.unlink = [](fuse_req_t request, fuse_ino_t parent, const char* name) {
    Answer(request, parent,
           [&](Operations& on) { return on.Unlink(parent, name, ProcessOf(request)); });
  };
  ops.rmdir = [](fuse_req_t request, fuse_ino_t parent, const char* name) {
    Answer(request, parent, [&](Operations& on) { return on.RemoveDirectory(parent, name); });
  };
  ops.rename = [](fuse_req_t request, fuse_ino_t from, const char* from_name, fuse_ino_t to,
                  const char* to_name, unsigned flags) {
    Answer(request, to, [&](Operations& on) {
      return on.Rename(from, from_name, to, to_name, flags, ProcessOf(request));
    });
  };
  ops.link = [](fuse_req_t request, fuse_ino_t node, fuse_ino_t parent, const char* name) {
    Answer(request, parent, [&](Operations& on) { return on.Link(node, parent, name); });
  };
  ops.read = [](fuse_req_t request, fuse_ino_t node, size_t size, off_t offset, fuse_file_info*) {
    Answer(request, node, [&](Operations& on) { return on.Read(node, size, offset); });
  };
  ops.write = [](fuse_req_t request, fuse_ino_t node, const char* data, size_t size, off_t offset,
                 fuse_file_info* info) {
    Answer(request, node, [&](Operations& on) {
      return on.Write(node, std::as_bytes(std::span(data, size)), offset, info->writepage != 0);
    });
  };
  ops.fsync = [](fuse_req_t request, fuse_ino_t node, int data_only, fuse_file_info*) {
    Answer(request, node, [&](Operations& on) {
      const auto began = std::chrono::steady_clock::now();
      auto reply = on.Sync(node, data_only != 0);
      CountsOfProcess().CountSync(std::chrono::steady_clock::now() - began);
      return reply;
    });
  };
  ops.fsyncdir = ops.fsync;
  ops.fallocate = [](fuse_req_t request, fuse_ino_t node, int mode, off_t offset, off_t length,
                     fuse_file_info*) {
    Answer(request, node, [&](Operations& on) { return on.Allocate(node, mode, offset, length); });
  };
  ops.lseek = [](fuse_req_t request, fuse_ino_t node, off_t offset, int whence, fuse_file_info*) {
    Answer(request, node, [&](Operations& on) { return on.Seek(node, offset, whence); });
  };
  ops.readdir = [](fuse_req_t request, fuse_ino_t node, size_t size, off_t offset,
                   fuse_file_info*) {
    Answer(request, node,
           [&](Operations& on) { return on.List(request, node, size, offset, false); });
  };
  ops.readdirplus = [](fuse_req_t request, fuse_ino_t node, size_t size, off_t offset,
                       fuse_file_info*) {
    Answer(request, node,
           [&](Operations& on) { return on.List(request, node, size, offset, true); });
  };
  ops.statfs = [](fuse_req_t request, fuse_ino_t node) {
    Answer(request, node, [](Operations& on) { return on.StatFs(); });
  };
  return ops;
}

#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
// A descriptor with a queue of its own for a thread; -1 if there is none.
int CloneDevice(int device) {
  os::UniqueFd clone(open("/dev/fuse", O_RDWR | O_CLOEXEC));
  auto number = static_cast<uint32_t>(device);
  if (clone.get() < 0 || ioctl(clone.get(), FUSE_DEV_IOC_CLONE, &number) != 0) return -1;
  return clone.Release();
}
#endif

}  // namespace

const fuse_lowlevel_ops& Operations::Callbacks() {
  static const fuse_lowlevel_ops kCallbacks = MakeCallbacks();
  return kCallbacks;
}

Status Operations::SetTransport(fuse_session* session) {
  fuse_custom_io transport{};
  transport.writev = [](int device, iovec* parts, int count, void*) {
    return writev(device, parts, count);
  };
  transport.read = [](int device, void* into, size_t size, void* userdata) {
    return static_cast<Operations*>(userdata)->reader_.Read(device, into, size);
  };
  const int device = fuse_session_fd(session);
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
  transport.clone_fd = CloneDevice;  // an older one clones it by itself
  const int error = fuse_session_custom_io_317(session, &transport, sizeof transport, device);
#else
  const int error = fuse_session_custom_io(session, &transport, device);
#endif
  return error == 0 ? Status() : SystemError(-error, "cannot set how requests are read");
}

}  // namespace velafs::fuse
