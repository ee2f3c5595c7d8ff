#include "velafs/api/server.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>
#include <vector>

#include "tests/api/data_directory.h"
#include "tests/api/raw_client.h"
#include "tests/os/scratch_directory.h"
#include "velafs/api/wire.h"
#include "velafs/store/audit_log.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/store.h"

namespace velafs::api {
namespace {

using nlohmann::json;
using test::RawClient;

struct ServerFixture {
  ServerFixture() {
    REQUIRE(store::Store::Init(scratch / "store").ok());
    auto opened = store::Store::Open(scratch / "store");
    REQUIRE_MESSAGE(opened.ok(), opened.status().message());
    store = *std::move(opened);
    Start();
  }

  void Start() {
    Server::ExtraVerbs extra;
    extra["echo"] = [](const json& arguments, const ProgressFn&) { return arguments; };
    extra["run-until-stopped"] = [this](const json&, const ProgressFn& progress) -> Result<json> {
      while (progress({{"bytes_done", 1}})) std::this_thread::yield();
      stopped = true;
      stopped.notify_all();
      return Failed("interrupted");
    };
    auto started = Server::Start(*store, std::move(extra));
    REQUIRE_MESSAGE(started.ok(), started.status().message());
    server = *std::move(started);
  }

  std::string Socket() const { return store->paths().Socket(); }
  json Answer(const std::string& target, const std::string& body, int http_status) {
    RawClient client(Socket());
    client.Post(target, body);
    const std::vector<json> lines = client.Lines();
    REQUIRE(lines.size() == 1);
    CHECK(client.HttpStatus() == http_status);
    return lines[0];
  }

  test::ScratchDirectory scratch;
  std::unique_ptr<store::Store> store;
  std::atomic<bool> stopped = false;
  std::unique_ptr<Server> server;
};

TEST_CASE_FIXTURE(ServerFixture, "only the owner may reach the socket") {
  struct stat info;
  REQUIRE(stat(Socket().c_str(), &info) == 0);
  CHECK(S_ISSOCK(info.st_mode));
  CHECK((info.st_mode & 0777) == 0600);
}

TEST_CASE_FIXTURE(ServerFixture, "a verb answers one result line") {
  CHECK(Answer("/v1/list", "{}", 200) == json{{"result", {{"branches", json::array()}}}});
  CHECK(Answer("/v1/list", "", 200) == json{{"result", {{"branches", json::array()}}}});
  CHECK(Answer("/v1/echo", R"({"a":[1,null]})", 200)["result"] == json::parse(R"({"a":[1,null]})"));
}

TEST_CASE_FIXTURE(ServerFixture, "a server counts the calls it serves") {
  const uint64_t before = server->served();
  Answer("/v1/list", "{}", 200);
  CHECK(server->served() == before + 1);
}

TEST_CASE_FIXTURE(ServerFixture, "a failed verb answers code, message and hint") {
  const json error = Answer("/v1/clone", R"({"source":"main","name":"Bad"})", 200)["error"];
  CHECK(error["code"] == "usage");
  CHECK(error["message"].get<std::string>().find("\"Bad\"") != std::string::npos);
  CHECK_FALSE(error["hint"].get<std::string>().empty());
  CHECK(Answer("/v1/show", R"({"name":"none"})", 200)["error"]["code"] == "not_found");
}

TEST_CASE_FIXTURE(ServerFixture, "what is no call of a verb is a usage error") {
  CHECK(Answer("/v1/frobnicate", "{}", 200)["error"]["message"] == "unknown verb \"frobnicate\"");
  CHECK(Answer("/v1/list", "{", 400)["error"]["message"] ==
        "cannot read the arguments: the text is not JSON");
  CHECK(Answer("/v1/list", "[]", 200)["error"]["code"] == "usage");
  CHECK(Answer("/v1/list", "{} {}", 400)["error"]["code"] == "usage");
  CHECK(Answer("/v1/show", "{\"name\":\"\xff\"}", 400)["error"]["code"] == "usage");
  CHECK(Answer("/v2/list", "{}", 404)["error"]["code"] == "usage");

  RawClient get(Socket());
  get.Send("GET /v1/list HTTP/1.1\r\nHost: velafs\r\n\r\n");
  CHECK(get.HttpStatus() == 404);
}

TEST_CASE_FIXTURE(ServerFixture, "a body over 1 MiB is turned down") {
  const std::string body = "{\"name\":\"" + std::string(1024 * 1024, 'x') + "\"}";
  CHECK(Answer("/v1/show", body, 413)["error"]["code"] == "usage");
}

TEST_CASE_FIXTURE(ServerFixture, "a client cannot claim to be somebody else") {
  RawClient client(Socket());
  client.Post(
      "/v1/import",
      json{{"name", "main"}, {"from_dir", test::MakeDataDirectory(scratch / "data")}}.dump(),
      "Velafs-Peer-Uid: 4242\r\nvelafs-peer-uid: 4243\r\n");
  const json result = client.Lines().back()["result"];
  CHECK(result["owner"] == store->branches().Show("main")->owner);
  CHECK(result["owner"] != "4242");
  CHECK(result["owner"] != "4243");
}

TEST_CASE_FIXTURE(ServerFixture, "progress comes before the result") {
  const std::string body =
      json{{"name", "main"}, {"from_dir", test::MakeDataDirectory(scratch / "data")}}.dump();
  RawClient client(Socket());
  client.Post("/v1/import", body);
  const std::vector<json> lines = client.Lines();
  REQUIRE(lines.size() >= 2);
  CHECK(lines[0]["progress"].contains("bytes_total"));
  CHECK(lines.back()["result"]["name"] == "main");
}

TEST_CASE_FIXTURE(ServerFixture, "a client that goes away stops its verb") {
  RawClient client(Socket());
  client.Post("/v1/run-until-stopped", "");
  client.ReceiveUntil("progress");
  client.Close();
  stopped.wait(false);
  CHECK(stopped);
}

TEST_CASE_FIXTURE(ServerFixture,
                  "a client that goes away as soon as it has asked has its verb run") {
  RawClient client(Socket());
  client.Post("/v1/run-until-stopped", "");
  client.Close();
  stopped.wait(false);
  CHECK(stopped);
}

TEST_CASE_FIXTURE(
    ServerFixture,
    "a client that shuts down its sending side stops its verb and learns the outcome") {
  RawClient client(Socket());
  client.Post("/v1/run-until-stopped", "");
  client.ReceiveUntil("progress");
  client.ShutDownSending();
  CHECK(client.Lines().back()["error"]["message"] == "interrupted");
}

TEST_CASE_FIXTURE(ServerFixture,
                  "stop ends running verbs, answers their callers and removes the socket") {
  RawClient client(Socket());
  client.Post("/v1/run-until-stopped", "");
  client.ReceiveUntil("progress");
  std::thread stop([this] { server->Stop(); });
  CHECK(client.Lines().back()["error"]["message"] == "interrupted");
  stop.join();
  CHECK_FALSE(std::filesystem::exists(Socket()));
}

TEST_CASE_FIXTURE(ServerFixture, "a server that never had a caller stops") {
  server->Stop();
  server->Stop();
  CHECK_FALSE(std::filesystem::exists(Socket()));
}

TEST_CASE_FIXTURE(ServerFixture, "a socket left by a dead process is replaced") {
  server.reset();
  std::ofstream(Socket()) << "stale";
  Start();
  CHECK(Answer("/v1/list", "{}", 200).contains("result"));
}

TEST_CASE_FIXTURE(ServerFixture, "a hundred callers at once are all answered") {
  std::vector<std::unique_ptr<RawClient>> callers;
  for (size_t i = 0; i < 100; ++i) callers.push_back(std::make_unique<RawClient>(Socket()));
  for (size_t i = 0; i < 100; ++i) callers[i]->Post("/v1/echo", json{{"i", i}}.dump());
  for (size_t i = 0; i < 100; ++i) {
    CHECK(callers[i]->Lines() == std::vector<json>{{{"result", {{"i", i}}}}});
  }
}

TEST_CASE_FIXTURE(ServerFixture, "a verb of the process that serves leaves an entry") {
  Answer("/v1/echo", "{}", 200);
  const auto entries = store->audit_log().List({});
  REQUIRE(entries.ok());
  REQUIRE(entries->size() == 1);
  CHECK((*entries)[0].verb == "echo");
  CHECK((*entries)[0].uid == geteuid());
  CHECK((*entries)[0].pid == static_cast<uint32_t>(getpid()));
  CHECK((*entries)[0].result == "done");
}

}  // namespace
}  // namespace velafs::api
