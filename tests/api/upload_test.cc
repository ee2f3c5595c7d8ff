// Archives that a client sends to a daemon.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <thread>

#include "tests/os/scratch_directory.h"
#include "velafs/api/server.h"
#include "velafs/client.h"
#include "velafs/store/import/member_stream.h"
#include "velafs/store/store.h"

namespace velafs::api {
namespace {

using nlohmann::json;
using store::Member;

struct Upload {
  Upload() {
    REQUIRE(store::Store::Init(scratch / "store").ok());
    auto opened = store::Store::Open(scratch / "store");
    REQUIRE_MESSAGE(opened.ok(), opened.status().message());
    store = *std::move(opened);
    auto started = Server::Start(*store, {});
    REQUIRE_MESSAGE(started.ok(), started.status().message());
    server = *std::move(started);
    auto connected = Client::Connect(scratch / "store");
    REQUIRE_MESSAGE(connected.ok(), connected.status().message());
    client = *std::move(connected);
    REQUIRE(client->is_remote());
    File("PG_VERSION", "15\n");
    File("global/pg_control", std::string(8192, 'c'));
    File("base/5/1", std::string(5'000'000, 'x'));
  }
  void File(const std::string& path, const std::string& content) {
    REQUIRE(writer.Put({Member::Kind::kFile, path, "", 0600, 5, 6, 0, content.size()}).ok());
    REQUIRE(writer.PutBlock({0, std::as_bytes(std::span(content))}).ok());
  }
  // As a ReadFn: the stream, in pieces.
  Result<size_t> Read(std::span<std::byte> into) {
    const size_t count = std::min({into.size(), stream.size() - at, size_t{100'000}});
    std::ranges::copy(std::as_bytes(std::span(stream)).subspan(at, count), into.begin());
    at += count;
    return count;
  }
  Result<json> Import(const Streams& streams) {
    return client->Call("import", {{"name", "main"}, {"from_archive", "a.tar"}}, nullptr, streams);
  }
  // The daemon lives, and has nothing of the archive.
  void CheckNothing() {
    const auto stats = client->Call("stats", json::object());
    REQUIRE_MESSAGE(stats.ok(), stats.status().message());
    CHECK((*stats)["branches"] == 0);
    CHECK((*stats)["stored_bytes"] == 0);
    CHECK(std::filesystem::is_empty(scratch / "store/packs"));
  }

  test::ScratchDirectory scratch;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<Server> server;
  std::unique_ptr<Client> client;
  std::string stream;
  size_t at = 0;
  store::MemberWriter writer{[this](std::span<const std::byte> bytes) -> Status {
    stream.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }};
};

TEST_CASE_FIXTURE(Upload, "an archive that is sent is imported") {
  REQUIRE(writer.End({}).ok());
  const auto branch = Import({.in = [this](std::span<std::byte> into) { return Read(into); }});
  REQUIRE_MESSAGE(branch.ok(), branch.status().message());
  CHECK((*branch)["files"] == 3);
  CHECK((*branch)["logical_bytes"] == 5'000'000 + 8192 + 3);
}

TEST_CASE_FIXTURE(Upload, "a verb that fails does not wait for what would be sent") {
  File("../x", "x");
  File("base/5/2", std::string(1'000'000, 'x'));
  std::atomic<bool> is_stopped = false;
  const ReadFn endless = [&](std::span<std::byte> into) -> Result<size_t> {
    if (at < stream.size()) return Read(into);
    is_stopped.wait(false);
    return size_t{0};
  };
  const auto stop = [&] {
    is_stopped = true;
    is_stopped.notify_all();
  };
  const auto branch = Import({.in = endless, .stop_in = stop});
  REQUIRE_FALSE(branch.ok());
  CHECK(branch.status().code() == Code::kRefused);
  CHECK_MESSAGE(branch.status().message().find("leads out of the archive") != std::string::npos,
                branch.status().message());
  CheckNothing();
}

TEST_CASE_FIXTURE(Upload, "a verb that takes nothing does not ask for it") {
  const ReadFn never = [](std::span<std::byte>) -> Result<size_t> {
    FAIL("it was asked");
    return size_t{0};
  };
  const auto branch =
      client->Call("import", {{"name", "Bad"}, {"from_archive", "a.tar"}}, nullptr, {.in = never});
  CHECK(branch.status().code() == Code::kUsage);
}

TEST_CASE_FIXTURE(Upload, "a stream that fails ends the verb with that failure") {
  const ReadFn failing = [&](std::span<std::byte> into) -> Result<size_t> {
    if (at < stream.size()) return Read(into);
    return Failed("the archive's disk is broken");
  };
  const auto branch = Import({.in = failing});
  REQUIRE_FALSE(branch.ok());
  CHECK(branch.status().message() == "the archive's disk is broken");
  CheckNothing();
}

TEST_CASE_FIXTURE(Upload, "a daemon that stops does not wait for what would be sent") {
  std::atomic<bool> is_waiting = false;
  std::atomic<bool> is_stopped = false;
  const ReadFn endless = [&](std::span<std::byte> into) -> Result<size_t> {
    if (at < stream.size()) return Read(into);
    is_waiting = true;
    is_waiting.notify_all();
    is_stopped.wait(false);
    return size_t{0};
  };
  const auto stop = [&] {
    is_stopped = true;
    is_stopped.notify_all();
  };
  std::thread stopping([&] {
    is_waiting.wait(false);
    server->Stop();
  });
  const auto branch = Import({.in = endless, .stop_in = stop});
  stopping.join();
  REQUIRE_FALSE(branch.ok());
  CHECK_MESSAGE(branch.status().message().find("interrupted") != std::string::npos,
                branch.status().message());
  CHECK(std::filesystem::is_empty(scratch / "store/packs"));
}

}  // namespace
}  // namespace velafs::api
