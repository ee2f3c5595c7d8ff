#include "velafs/fuse/operations.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sqlite3.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "tests/store/store_fixture.h"
#include "velafs/fuse/node_id.h"
#include "velafs/os/unique_fd.h"
#include "velafs/store/mounted_store.h"
#include "velafs/store/trash_verbs.h"

namespace velafs::fuse {
namespace {

// The kernel's side of a mount's connection: requests as it writes them, and whether it takes the
// answers. One at a time.
class FakeKernel {
 public:
  explicit FakeKernel(Operations& operations) {
    current = this;
    fuse_args arguments = FUSE_ARGS_INIT(0, nullptr);
    fuse_opt_add_arg(&arguments, "velafs");
    session_ = fuse_session_new(&arguments, &Operations::Callbacks(), sizeof(fuse_lowlevel_ops),
                                &operations);
    fuse_opt_free_args(&arguments);
    REQUIRE(session_ != nullptr);
    fuse_custom_io io = {};
    io.writev = [](int, iovec* parts, int count, void*) {
      return current->TakeAnswer(parts, count);
    };
    io.read = [](int, void*, size_t, void*) -> ssize_t { return 0; };
    REQUIRE(fuse_session_custom_io(session_, &io, open("/dev/null", O_RDWR | O_CLOEXEC)) == 0);
    const fuse_init_in hello = {.major = FUSE_KERNEL_VERSION,
                                .minor = FUSE_KERNEL_MINOR_VERSION,
                                .max_readahead = 1 << 20,
                                .flags = FUSE_DO_READDIRPLUS,
                                .flags2 = 0,
                                .unused = {}};
    REQUIRE(Ask(FUSE_INIT, 0, &hello, sizeof hello));
  }
  ~FakeKernel() { fuse_session_destroy(session_); }

  // Whether there was an answer, and no error.
  bool Ask(uint32_t opcode, uint64_t node, const void* argument, size_t argument_bytes) {
    fuse_in_header header = {};
    header.len = static_cast<uint32_t>(sizeof header + argument_bytes);
    header.opcode = opcode;
    header.unique = ++requests_;
    header.nodeid = node;
    header.uid = getuid();
    header.pid = static_cast<uint32_t>(getpid());
    std::string request(header.len, '\0');
    std::memcpy(request.data(), &header, sizeof header);
    std::memcpy(request.data() + sizeof header, argument, argument_bytes);
    fuse_buf buffer = {};
    buffer.mem = request.data();
    buffer.size = request.size();
    is_answered_ = false;
    fuse_session_process_buf(session_, &buffer);
    return is_answered_;
  }
  bool ListPlus(uint64_t node) {
    fuse_read_in wanted = {};
    wanted.size = 4096;
    return Ask(FUSE_READDIRPLUS, node, &wanted, sizeof wanted);
  }
  void Forget(uint64_t node) {
    const fuse_forget_in count = {.nlookup = 1};
    Ask(FUSE_FORGET, node, &count, sizeof count);
  }

  bool takes_answers = true;

 private:
  ssize_t TakeAnswer(const iovec* parts, int count) {
    if (!takes_answers) {
      errno = ENOENT;  // as for a request that was interrupted
      return -1;
    }
    fuse_out_header header = {};
    std::memcpy(&header, parts[0].iov_base, sizeof header);
    is_answered_ = header.error == 0;
    ssize_t bytes = 0;
    for (int i = 0; i < count; ++i) bytes += static_cast<ssize_t>(parts[i].iov_len);
    return bytes;
  }

  static inline FakeKernel* current = nullptr;
  fuse_session* session_ = nullptr;
  uint64_t requests_ = 0;
  bool is_answered_ = false;
};

struct OperationsFixture : test::StoreFixture {
  OperationsFixture() { Import("main"); }

  std::shared_ptr<layer::Branch> Open(const std::string& name) {
    auto branch = store->volume().Open(name);
    REQUIRE_MESSAGE(branch.ok(), branch.status().message());
    return *std::move(branch);
  }
};

TEST_CASE_FIXTURE(OperationsFixture, "the kernel refers to what it was listed, if it took that") {
  Operations operations(store->mounted());
  FakeKernel kernel(operations);
  const auto branch = Open("main");
  const uint64_t top = ToNodeId(branch->instance(), branch->root());
  for (const bool takes_answers : {false, true}) {
    const std::string name = takes_answers ? "PG_VERSION" : "postgresql.conf";
    const auto file = branch->Lookup(branch->root(), name);
    REQUIRE(file.ok());
    kernel.takes_answers = takes_answers;
    CHECK(kernel.ListPlus(top) == takes_answers);
    kernel.takes_answers = true;
    REQUIRE(branch->Unlink(branch->root(), name).ok());
    CHECK(branch->Get(file->ino).ok() == takes_answers);
    if (takes_answers) kernel.Forget(ToNodeId(branch->instance(), file->ino));
    CHECK(branch->Get(file->ino).status().error_number() == ESTALE);
  }
}

// Counts what all connections to databases run that are opened while it lives.
class StatementCount {
 public:
  StatementCount() { sqlite3_auto_extension(reinterpret_cast<void (*)()>(Trace)); }
  ~StatementCount() { sqlite3_cancel_auto_extension(reinterpret_cast<void (*)()>(Trace)); }
  uint64_t Since(uint64_t before) const { return statements - before; }
  uint64_t Now() const { return statements; }

 private:
  static int Trace(sqlite3* database, const char**, const sqlite3_api_routines*) {
    const auto count = [](unsigned, void*, void*, void*) {
      ++statements;
      return 0;
    };
    return sqlite3_trace_v2(database, SQLITE_TRACE_STMT, count, nullptr);
  }
  static inline std::atomic<uint64_t> statements = 0;
};

TEST_CASE_FIXTURE(OperationsFixture, "what the kernel forgets of a branch opens none") {
  Clone("main", "idle");
  Clone("main", "deleted");
  const auto gone = Open("deleted");
  const InstanceId idle = Open("idle")->instance();
  const uint64_t node = ToNodeId(gone->instance(), gone->root());
  REQUIRE(store->trash().Delete(caller, "deleted", {}).ok());
  const StatementCount statements;
  Reopen();
  Operations operations(store->mounted());
  FakeKernel kernel(operations);
  const uint64_t before = statements.Now();
  REQUIRE(before > 0);
  for (int i = 0; i < 100; ++i) kernel.Forget(node);
  kernel.Forget(ToNodeId(idle, InodeNumber(2)));
  CHECK(statements.Since(before) == 0);
  CHECK_FALSE(store->volume().FindOpen(idle));
}

}  // namespace
}  // namespace velafs::fuse
