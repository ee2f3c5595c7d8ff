#include "velafs/base/byte_queue.h"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <thread>

namespace velafs {
namespace {

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

// All that comes, in pieces of at most three bytes.
Result<std::string> PullAll(ByteQueue& queue) {
  std::string all;
  for (;;) {
    std::array<std::byte, 3> buffer;
    VELAFS_ASSIGN(const size_t got, queue.Pull(buffer));
    if (got == 0) return all;
    all.append(reinterpret_cast<const char*>(buffer.data()), got);
  }
}

TEST_CASE("what is pushed is pulled, in order, then the end") {
  ByteQueue queue(100);
  CHECK(queue.Push(Bytes("hello, ")));
  CHECK(queue.Push(Bytes("world")));
  queue.Finish({});
  CHECK(*PullAll(queue) == "hello, world");
}

TEST_CASE("a failure comes after what was pushed before it") {
  ByteQueue queue(100);
  CHECK(queue.Push(Bytes("ab")));
  queue.Finish(Failed("broken"));
  queue.Finish({});
  std::array<std::byte, 3> buffer;
  CHECK(*queue.Pull(buffer) == 2);
  CHECK(queue.Pull(buffer).status().message() == "broken");
}

TEST_CASE("a writer waits for a slow reader, and a reader for a writer") {
  ByteQueue queue(10);
  std::string sent;
  for (int i = 0; i < 10'000; ++i) sent += static_cast<char>('a' + i % 26);
  std::thread writer([&] {
    for (size_t at = 0; at < sent.size(); at += 7) {
      REQUIRE(queue.Push(Bytes(sent.substr(at, 7))));
    }
    queue.Finish({});
  });
  const Result<std::string> received = PullAll(queue);
  writer.join();
  CHECK(*received == sent);
}

TEST_CASE("a reader that closes ends the writer") {
  ByteQueue queue(4);
  std::thread writer([&] {
    while (queue.Push(Bytes("more"))) {
    }
  });
  queue.Close();
  writer.join();
  CHECK_FALSE(queue.Push(Bytes("x")));
}

}  // namespace
}  // namespace velafs
