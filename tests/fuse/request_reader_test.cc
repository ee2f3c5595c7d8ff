#include "velafs/fuse/request_reader.h"

#include <doctest/doctest.h>
#include <pthread.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "velafs/os/unique_fd.h"

namespace velafs::fuse {
namespace {

// Threads that read requests as those of a mount do. Each keeps what it has got until it is told.
struct ReaderFixture {
  static constexpr int kThreads = 8;

  ReaderFixture() {
    std::array<int, 2> ends;
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
    device.Reset(ends[0]);
    kernel.Reset(ends[1]);
    for (int i = 0; i < kThreads; ++i) {
      pthread_t thread{};
      REQUIRE(pthread_create(&thread, nullptr, &Serve, this) == 0);
      threads.push_back(thread);
    }
  }
  ~ReaderFixture() {
    busy_with = 0;
    busy_with.notify_all();
    WaitUntilIdle();
    for (const pthread_t thread : threads) pthread_cancel(thread);
    for (const pthread_t thread : threads) CHECK(pthread_join(thread, nullptr) == 0);
  }

  static void* Serve(void* arguments) {
    auto& self = *static_cast<ReaderFixture*>(arguments);
    while (true) {
      char request = 0;
      pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, nullptr);
      const ssize_t got = self.reader.Read(self.device.get(), &request, 1);
      pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
      if (got != 1) return nullptr;
      ++self.taken;
      for (int busy = self.busy_with; busy != 0; busy = self.busy_with) self.busy_with.wait(busy);
    }
  }
  void Send() const { REQUIRE(send(kernel.get(), "r", 1, 0) == 1); }
  template <typename Condition>
  static void WaitUntil(const Condition& holds) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!holds()) {
      REQUIRE(std::chrono::steady_clock::now() < deadline);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  void WaitUntilTaken(int count) const {
    WaitUntil([&] { return taken >= count; });
  }
  void WaitUntilIdle() const {
    WaitUntil(RequestReader::kMostWaiting, kThreads - RequestReader::kMostWaiting);
  }
  void WaitUntil(int waiting, int standing_by) const {
    WaitUntil([&] {
      const RequestReader::Counts counts = reader.counts();
      return counts.waiting == waiting && counts.standing_by == standing_by;
    });
  }

  RequestReader reader;
  os::UniqueFd device;
  os::UniqueFd kernel;
  std::atomic<int> busy_with = 1;  // not 0: whoever has a request stays busy
  std::atomic<int> taken = 0;
  std::vector<pthread_t> threads;
};

TEST_CASE_FIXTURE(ReaderFixture, "of many threads that have nothing to do, few wait") {
  WaitUntilIdle();
  busy_with = 0;
  for (int i = 1; i <= 100; ++i) {
    Send();
    WaitUntilTaken(i);
  }
  WaitUntilIdle();
}

TEST_CASE_FIXTURE(ReaderFixture, "a request is taken as long as one thread is free") {
  WaitUntilIdle();
  for (int i = 1; i <= kThreads; ++i) {
    Send();
    WaitUntilTaken(i);
    CHECK((reader.counts().waiting > 0 || i == kThreads));
  }
  WaitUntil(0, 0);
  Send();
  busy_with = 0;  // the first that is done takes the next one
  busy_with.notify_all();
  WaitUntilTaken(kThreads + 1);
}

}  // namespace
}  // namespace velafs::fuse
