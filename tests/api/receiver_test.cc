#include "velafs/api/receiver.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

namespace velafs::api {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kForever{3'600'000};

struct ReceiverFixture {
  explicit ReceiverFixture(ReceiverLimits limits = {.header_bytes = 100,
                                                    .body_bytes = 50,
                                                    .connections = 3,
                                                    .total_bytes = 200,
                                                    .patience = kForever})
      : receiver(limits, [this](os::UniqueFd, Request request) {
          std::lock_guard lock(mutex);
          requests.push_back(std::move(request));
          changed.notify_all();
        }) {
    REQUIRE(receiver.Start().ok());
  }

  // The other end of a new connection.
  os::UniqueFd Connect(const Guest& owner = {}) {
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    receiver.Add(os::UniqueFd(ends[0]), owner);
    return os::UniqueFd(ends[1]);
  }
  static void Send(const os::UniqueFd& end, const std::string& text) {
    REQUIRE(send(end.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(text.size()));
  }
  // Returns when the receiver has closed its end.
  static void WaitForEnd(const os::UniqueFd& end) {
    char byte;
    CHECK(recv(end.get(), &byte, 1, 0) <= 0);
  }
  Request Next() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return taken < requests.size(); });
    return requests[taken++];
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Request> requests;
  size_t taken = 0;
  Receiver receiver;
};

const std::string kHeader = "POST /v1/show HTTP/1.1\r\nContent-Length: ";
const std::string kRequest = kHeader + "4\r\n\r\nbody";

TEST_CASE_FIXTURE(ReceiverFixture, "a request is handed on when it is whole, however it comes") {
  const auto slow = Connect();
  for (const char byte : kRequest.substr(0, kRequest.size() - 1)) Send(slow, {byte});
  const auto quick = Connect();
  Send(quick, kRequest);
  CHECK(Next().body == "body");
  Send(slow, "!");
  const Request last = Next();
  CHECK(last.refusal == 0);
  CHECK(last.verb == "show");
  CHECK(last.body == "bod!");
}

TEST_CASE_FIXTURE(ReceiverFixture, "a peer that has done sending is refused what is not whole") {
  const auto end = Connect();
  Send(end, kHeader + "4\r\n\r\nbo");
  REQUIRE(shutdown(end.get(), SHUT_WR) == 0);
  CHECK(Next().refusal == 400);
}

TEST_CASE_FIXTURE(ReceiverFixture, "a body past its limit is refused when all of it has come") {
  const auto end = Connect();
  Send(end, kHeader + "3000000\r\n\r\n");
  for (int i = 0; i < 2999; ++i) Send(end, std::string(1000, 'x'));
  const auto other = Connect();
  Send(other, kRequest);
  CHECK(Next().body == "body");
  Send(end, std::string(1000, 'x'));
  const Request refused = Next();
  CHECK(refused.refusal == 413);
  CHECK(refused.body.empty());
}

TEST_CASE_FIXTURE(ReceiverFixture, "a header without an end is refused at its limit") {
  const auto end = Connect();
  Send(end, std::string(1000, 'x'));
  CHECK(Next().refusal == 431);
}

TEST_CASE_FIXTURE(ReceiverFixture, "the oldest goes when there are too many") {
  std::vector<os::UniqueFd> ends;
  for (int i = 0; i < 4; ++i) ends.push_back(Connect());
  WaitForEnd(ends[0]);
  Send(ends[1], kRequest);
  CHECK(Next().body == "body");
}

TEST_CASE_FIXTURE(ReceiverFixture, "the oldest goes when together they have sent too much") {
  const auto first = Connect();
  Send(first, std::string(90, 'a'));
  const auto second = Connect();
  Send(second, std::string(90, 'b'));
  const auto third = Connect();
  Send(third, kHeader + "40\r\n\r\n");
  WaitForEnd(first);
  Send(third, std::string(40, 'c'));
  CHECK(Next().body == std::string(40, 'c'));
}

// Whether the receiver still has the other end.
bool IsOpen(const os::UniqueFd& end) {
  char byte;
  return recv(end.get(), &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

TEST_CASE_FIXTURE(ReceiverFixture, "of too many connections goes the oldest of who has most") {
  const auto quiet = Connect(Guest(1));
  const auto first = Connect(Guest(2));
  const auto second = Connect(Guest(2));
  const auto third = Connect(Guest(2));
  WaitForEnd(first);
  CHECK(IsOpen(quiet));
  CHECK(IsOpen(second));
  const auto other = Connect(Guest(3));
  WaitForEnd(second);
  CHECK(IsOpen(quiet));
  Send(quiet, kRequest);
  CHECK(Next().body == "body");
  Send(other, kRequest);
  CHECK(Next().body == "body");
}

TEST_CASE_FIXTURE(ReceiverFixture, "guests put nobody out who is none, nor the other way round") {
  const auto admin = Connect();
  const auto guest = Connect(Guest(1));
  std::vector<os::UniqueFd> ends;
  for (int i = 0; i < 100; ++i) ends.push_back(Connect(Guest(2)));
  Send(ends.back(), kRequest);
  CHECK(Next().body == "body");  // so all of them have been taken in
  CHECK(IsOpen(admin));
  CHECK(IsOpen(guest));
  for (int i = 0; i < 100; ++i) ends.push_back(Connect());
  WaitForEnd(admin);
  CHECK(IsOpen(guest));
}

TEST_CASE_FIXTURE(ReceiverFixture, "of too many bytes go the oldest of who has sent most") {
  const std::string header = kHeader + "40\r\n\r\n";
  const auto admin = Connect();
  Send(admin, header);
  const auto quiet = Connect(Guest(1));
  Send(quiet, header);
  const auto first = Connect(Guest(2));
  Send(first, std::string(90, 'a'));
  const auto second = Connect(Guest(2));
  Send(second, std::string(90, 'b'));
  WaitForEnd(first);
  Send(quiet, std::string(40, 'c'));
  CHECK(Next().body == std::string(40, 'c'));
  Send(admin, std::string(40, 'd'));
  CHECK(Next().body == std::string(40, 'd'));
}

TEST_CASE("a peer that takes too long is closed, or refused when it has sent a header") {
  ReceiverFixture fixture({.header_bytes = 100,
                           .body_bytes = 50,
                           .connections = 3,
                           .total_bytes = 200,
                           .patience = milliseconds(50)});
  const auto silent = fixture.Connect();
  fixture.WaitForEnd(silent);
  const auto half = fixture.Connect();
  fixture.Send(half, "POST / HTTP/1.1\r\n");
  fixture.WaitForEnd(half);
  const auto without_body = fixture.Connect();
  fixture.Send(without_body, kHeader + "4\r\n\r\nbo");
  CHECK(fixture.Next().refusal == 400);
}

TEST_CASE_FIXTURE(ReceiverFixture, "a receiver that stops closes what is not whole") {
  const auto end = Connect();
  Send(end, "POST");
  receiver.Stop();
  WaitForEnd(end);
  WaitForEnd(Connect());
}

}  // namespace
}  // namespace velafs::api
