// Clients that send anything but a sound request. VELAFS_SEED replays a run, VELAFS_STEPS makes it
// longer; every failure prints its seed and step.
#include <dirent.h>
#include <doctest/doctest.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/api/data_directory.h"
#include "tests/api/raw_client.h"
#include "tests/os/scratch_directory.h"
#include "tests/random.h"
#include "velafs/api/server.h"
#include "velafs/api/verbs.h"
#include "velafs/layer/branch.h"
#include "velafs/layer/volume.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/govern/govern_verbs.h"
#include "velafs/store/import/import_verbs.h"
#include "velafs/store/store.h"

namespace velafs::api {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using test::RawClient;

size_t EntriesOf(const char* directory) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) ++count;
  return count;
}
size_t OpenFiles() { return EntriesOf("/proc/self/fd"); }

struct HostileFixture {
  HostileFixture() {
    REQUIRE(store::Store::Init(scratch / "store").ok());
    auto opened = store::Store::Open(scratch / "store");
    REQUIRE(opened.ok());
    store = *std::move(opened);
    REQUIRE(store->imports()
                .Import({geteuid(), "tester"}, "main", test::MakeDataDirectory(data), nullptr)
                .ok());
    Server::ExtraVerbs extra;
    extra["echo"] = [](const json& arguments, const ProgressFn&) { return arguments; };
    extra["chatter"] = [](const json&, const ProgressFn& progress) -> Result<json> {
      for (int i = 0; i < 5000 && progress({{"i", i}}); ++i) {
      }
      return json::object();
    };
    auto started = Server::Start(*store, std::move(extra));
    REQUIRE(started.ok());
    server = *std::move(started);
  }

  std::string Socket() const { return store->paths().Socket(); }
  // Anybody else is answered, and soon.
  void CheckAnswersOthers() {
    const auto start = steady_clock::now();
    RawClient client(Socket());
    client.Post("/v1/status", "{}");
    CHECK(client.Lines().at(0).contains("result"));
    CHECK(steady_clock::now() - start < milliseconds(1000));
  }
  json ErrorOf(const std::string& body, const std::string& headers, int http_status) {
    RawClient client(Socket());
    client.Post("/v1/echo", body, headers);
    const std::vector<json> lines = client.Lines();
    REQUIRE(lines.size() == 1);
    CHECK(client.HttpStatus() == http_status);
    return lines[0]["error"];
  }

  test::ScratchDirectory scratch;
  const std::string data = scratch / "data";
  std::unique_ptr<store::Store> store;
  std::unique_ptr<Server> server;
};

TEST_CASE_FIXTURE(HostileFixture, "thousands who send half a request keep nobody waiting") {
  constexpr size_t kClients = 3000;
  rlimit limit{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;
  REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  const size_t clients = std::min<size_t>(kClients, limit.rlim_max / 2 - 100);
  std::vector<std::unique_ptr<RawClient>> slow;
  for (size_t i = 0; i < clients; ++i) {
    slow.push_back(std::make_unique<RawClient>(Socket(), RawClient::kWaits));
    slow.back()->Send(i % 2 == 0 ? "POST /v1/list HT" : "POST /v1/list HTTP/1.1\r\n\r");
    if (i % 500 == 0) CheckAnswersOthers();
  }
  CheckAnswersOthers();
  CHECK(EntriesOf("/proc/self/task") < 50);
}

TEST_CASE_FIXTURE(HostileFixture, "a hundred who do not take their answer keep nobody waiting") {
  const std::string large = json{{"text", std::string(400'000, 'x')}}.dump();
  std::vector<std::unique_ptr<RawClient>> deaf;
  for (int i = 0; i < 100; ++i) {
    deaf.push_back(std::make_unique<RawClient>(Socket(), RawClient::kWaits));
    deaf.back()->Post("/v1/echo", large);
  }
  CheckAnswersOthers();
}

TEST_CASE_FIXTURE(HostileFixture, "a body of 100 MB is refused") {
  RawClient client(Socket());
  constexpr int kMegabytes = 100;
  client.Send("POST /v1/echo HTTP/1.1\r\nContent-Length: 104857600\r\n\r\n");
  for (int i = 0; i < kMegabytes; ++i) client.Send(std::string(1024 * 1024, ' '));
  CHECK(client.HttpStatus() == 413);
}

TEST_CASE_FIXTURE(HostileFixture, "what would become larger than it is, is refused") {
  std::string deep = "1";
  for (int i = 0; i < 100'000; ++i) deep = "[" + std::move(deep);
  CHECK(ErrorOf(deep, "", 400)["message"] ==
        "cannot read the arguments: the JSON is nested too deep");
  CHECK(ErrorOf("{}", "Content-Encoding: gzip\r\n", 415)["code"] == "usage");
  CHECK(ErrorOf("{}", "Transfer-Encoding: chunked\r\n", 411)["code"] == "usage");
}

// While one lives, its thread connects as that user.
struct AsUser {
  explicit AsUser(uid_t id) {
    REQUIRE(syscall(SYS_setresgid, -1, id, -1) == 0);
    REQUIRE(syscall(SYS_setresuid, -1, id, -1) == 0);
  }
  ~AsUser() {
    syscall(SYS_setresuid, -1, 0, -1);
    syscall(SYS_setresgid, -1, getgid(), -1);
  }
};

// A store that root serves, with a guest who may take what is larger than a socket holds.
struct GuestFixture {
  GuestFixture() {
    std::filesystem::permissions(scratch.path(), std::filesystem::perms(0711));
    REQUIRE(store::Store::Init(scratch / "store").ok());
    auto opened = store::Store::Open(scratch / "store");
    REQUIRE(opened.ok());
    store = *std::move(opened);
    test::MakeDataDirectory(data);
    std::ofstream(data + "/base/large", std::ios::binary) << std::string(16 << 20, 'x');
    REQUIRE(store->imports().Import({geteuid(), "tester"}, "main", data, nullptr).ok());
    const group* const guests = getgrgid(kGuest);
    REQUIRE(guests != nullptr);
    REQUIRE(store->governance()
                .SetPolicies(catalog::SettingScope::kStore, {}, {{"user_group", guests->gr_name}})
                .ok());
    REQUIRE(store->governance().SetApproved("main", true).ok());
    const WorkerLimits limits{.threads_each = 2, .waiting_each = 2};
    auto started = Server::Start(*store, {}, {limits, kStall, 1});
    REQUIRE(started.ok());
    server = *std::move(started);
  }
  std::unique_ptr<RawClient> ByGuest(const std::string& verb, const std::string& arguments) {
    const AsUser guest(kGuest);
    auto client = std::make_unique<RawClient>(store->paths().Socket(), RawClient::kWaits);
    client->Post("/v1/" + verb, arguments);
    return client;
  }

  static constexpr uid_t kGuest = 65534;  // and a group's number
  static constexpr milliseconds kStall{300};
  test::ScratchDirectory scratch;
  const std::string data = scratch / "data";
  std::unique_ptr<store::Store> store;
  std::unique_ptr<Server> server;
};

TEST_CASE("a guest who takes no answer has few threads, and not for long") {
  if (geteuid() != 0) {
    MESSAGE("skipped: only root serves guests");
    return;
  }
  GuestFixture fixture;
  std::vector<std::unique_ptr<RawClient>> deaf;
  for (int i = 0; i < 4; ++i) deaf.push_back(fixture.ByGuest("export", R"({"source":"main"})"));
  const auto too_many = fixture.ByGuest("list", "{}");
  const json refused = too_many->Lines().at(0)["error"];
  CHECK(refused["code"] == "refused");
  CHECK(refused["message"] == "user 65534 has too many calls under way");
  CHECK(too_many->HttpStatus() == 503);
  {
    RawClient root(fixture.store->paths().Socket());
    root.Post("/v1/list", "{}");
    CHECK(root.Lines().at(0).contains("result"));
  }
  // They are given up, which lets him in again.
  while (!fixture.ByGuest("list", "{}")->Lines().at(0).contains("result")) {
  }
  for (const auto& client : deaf) CHECK(client->HttpStatus() == 200);
  size_t whole = 0;
  for (const auto& client : deaf) {
    whole += client->received().find("{\"result\"") != std::string::npos ? 1 : 0;
  }
  CHECK(whole < deaf.size());
}

TEST_CASE("a guest who takes an answer drop by drop is given up, too") {
  if (geteuid() != 0) {
    MESSAGE("skipped: only root serves guests");
    return;
  }
  GuestFixture fixture;
  const auto slow = fixture.ByGuest("export", R"({"source":"main"})");
  const auto begin = steady_clock::now();
  // Far from all in that time, and never nothing for long.
  while (slow->Receive()) {
    REQUIRE(steady_clock::now() - begin < 20 * GuestFixture::kStall);
    std::this_thread::sleep_for(milliseconds(10));
  }
  CHECK(slow->received().find("{\"result\"") == std::string::npos);
}

TEST_CASE("a guest who takes no long answer waits for the next one, and nobody else does") {
  if (geteuid() != 0) {
    MESSAGE("skipped: only root serves guests");
    return;
  }
  GuestFixture fixture;
  std::map<std::string, std::string> labels;
  for (int i = 0; i < 15; ++i) labels["label-" + std::to_string(i)] = std::string(1000, 'x');
  for (int i = 0; i < 50; ++i) {  // more than a socket holds
    const std::string name = "branch-" + std::to_string(i);
    store::CloneOptions options;
    options.labels = labels;
    REQUIRE(fixture.store->branches().Clone({geteuid(), "root"}, "main", name, options).ok());
  }
  const auto begin = steady_clock::now();
  const auto deaf = fixture.ByGuest("list", "{}");
  // Its headers come before it is its turn.
  while (deaf->received().find("\"branches\"") == std::string::npos) REQUIRE(deaf->Receive());
  const auto next = fixture.ByGuest("list", "{}");
  RawClient root(fixture.store->paths().Socket());
  root.Post("/v1/list", "{}");
  CHECK(root.Lines().at(0)["result"]["branches"].size() == 51);
  CHECK(next->Lines().at(0)["result"]["branches"].size() == 51);
  CHECK(steady_clock::now() - begin > GuestFixture::kStall);
}

TEST_CASE(
    "a guest who is refused without end fills no audit log, an admin's failures are all there") {
  if (geteuid() != 0) {
    MESSAGE("skipped: only root serves guests");
    return;
  }
  GuestFixture fixture;
  const auto entries = [&] { return fixture.store->audit_log().Verify({})->count; };
  const uint64_t before = entries();
  for (int i = 0; i < 100; ++i) {
    CHECK(fixture.ByGuest("gc", "{}")->Lines().at(0)["error"]["code"] == "refused");
  }
  CHECK(entries() == before + 20);
  for (int i = 0; i < 30; ++i) {
    RawClient root(fixture.store->paths().Socket());
    root.Post("/v1/delete", R"({"name":"none"})");
    CHECK(root.Lines().at(0)["error"]["code"] == "not_found");
  }
  CHECK(entries() == before + 50);
}

TEST_CASE("an admin is told who uses what, and nobody else is") {
  if (geteuid() != 0) {
    MESSAGE("skipped: only root serves guests");
    return;
  }
  GuestFixture fixture;
  const std::string guest = CallerOf(GuestFixture::kGuest).user;
  CHECK(fixture.ByGuest("clone", R"({"source":"main","name":"his"})")
            ->Lines()
            .at(0)
            .contains("result"));
  const auto branch = fixture.store->volume().Open("his");
  REQUIRE(branch.ok());
  for (const char* const name : {"a", "b", "c"}) {
    REQUIRE((*branch)->Make((*branch)->root(), name, {S_IFREG | 0600, 0, 0}).ok());
  }
  for (int i = 0; i < 25; ++i) CHECK(fixture.ByGuest("gc", "{}")->HttpStatus() == 200);
  const auto stats = [&](RawClient& client) {
    client.Post("/v1/stats", "{}");
    return client.Lines().at(0)["result"];
  };
  json users;
  // He may be given up before that is told.
  for (int i = 0; i < 20 && (users.is_null() || users[guest]["calls_running"] == 0); ++i) {
    const auto deaf = fixture.ByGuest("export", R"({"source":"main"})");
    REQUIRE(deaf->Receive());  // so it runs
    RawClient root(fixture.store->paths().Socket());
    users = stats(root)["users"];
  }
  CHECK(users[guest]["branches"] == 1);
  CHECK(users[guest]["names"] == 3);
  CHECK(users[guest]["failures_folded"] == 5);
  CHECK(users[guest]["calls_running"] >= 1);
  CHECK(users[guest]["calls_waiting"] == 0);
  CHECK(users["tester"]["branches"] == 1);
  CHECK(users["tester"]["calls_running"] == 0);
  CHECK_FALSE(fixture.ByGuest("stats", "{}")->Lines().at(0)["result"].contains("users"));
}

// Requests at random, most of them broken.
class Generator {
 public:
  Generator(unsigned seed, std::string data) : random_(seed), data_(std::move(data)) {}

  size_t Below(size_t limit) { return random_() % limit; }
  bool OneIn(size_t n) { return Below(n) == 0; }

  std::string Bytes(size_t limit) {
    std::string bytes(Below(limit), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random_());
    return bytes;
  }
  std::string Request() {
    if (OneIn(8)) return Bytes(20'000);
    std::string request = Sound();
    if (OneIn(3)) Damage(request);
    return request;
  }

 private:
  template <typename T>
  T OneOf(std::initializer_list<T> values) {
    return values.begin()[Below(values.size())];
  }

  std::string Text() {
    switch (Below(6)) {
      case 0:
        return OneOf<std::string>({"",
                                   "..",
                                   "/",
                                   "-",
                                   "main",
                                   "a",
                                   "main@b",
                                   "@",
                                   "b@",
                                   "0",
                                   "\x1b[2J",
                                   "\n",
                                   std::string(1, '\0'),
                                   std::string(100'000, 'a'),
                                   "12h",
                                   "99999999999999999999d",
                                   "-1s",
                                   "ä",
                                   "a\xcc\x81",
                                   "null"});
      case 1:
        return OneOf<std::string>(
            {data_, data_ + std::string("\0/..", 4), "/dev/zero", "/proc", "/"});
      case 2:
        return Bytes(64);
      default:
        return std::string(1, static_cast<char>('a' + Below(4)));
    }
  }
  json Value(int depth) {
    switch (Below(10)) {
      case 0:
        return nullptr;
      case 1:
        return OneIn(2);
      case 2:
        return OneOf<double>({0, -1, 1e308, 0.5, -0.0, std::numeric_limits<double>::infinity()});
      case 3:
        return std::numeric_limits<uint64_t>::max();
      case 4:
        return std::numeric_limits<int64_t>::min();
      case 5: {
        json list = json::array();
        for (size_t i = 0; depth < 5 && i < Below(5); ++i) list.push_back(Value(depth + 1));
        return list;
      }
      case 6: {
        json object = json::object();
        for (size_t i = 0; depth < 5 && i < Below(5); ++i) object[Text()] = Value(depth + 1);
        return object;
      }
      default:
        return Text();
    }
  }
  json Arguments() {
    if (OneIn(10)) return Value(0);
    json arguments = json::object();
    for (const char* name : {"name", "source", "from_dir", "ttl", "owner", "labels", "note",
                             "force", "dry_run", "port", "branch", "limit", "unknown"}) {
      if (OneIn(3)) arguments[name] = Value(0);
    }
    // Some that get past the first look.
    if (OneIn(3)) return json{{"name", Text()}};
    if (OneIn(4)) return json{{"source", "main"}, {"name", Text()}, {"labels", {{Text(), Text()}}}};
    return arguments;
  }
  std::string Sound() {
    const std::string verb = OneOf<std::string>(
        {"import", "clone", "list", "show", "delete", "bookmark-create", "bookmark-list",
         "bookmark-delete", "stats", "assign-port", "status", "echo", "chatter", "no-such", "%2e",
         std::string(300, 'a'), std::string(9000, 'a')});
    const std::string body =
        OneIn(10) ? Bytes(3000) : Arguments().dump(-1, ' ', false, json::error_handler_t::replace);
    std::string headers;
    if (OneIn(5)) {
      headers = OneOf<std::string>(
          {"Expect: 100-continue\r\n", "Range: bytes=" + std::string(4000, '1') + "-\r\n",
           "Transfer-Encoding: chunked\r\n", "Content-Encoding: gzip\r\n",
           "Content-Type: multipart/form-data; boundary=x\r\n", "X: " + Bytes(100) + "\r\n",
           "Content-Type: application/x-www-form-urlencoded\r\n", "Connection: keep-alive\r\n"});
    }
    const std::string length =
        OneIn(12) ? OneOf<std::string>({"-1", "x", "18446744073709551616", "999999999", ""})
                  : std::to_string(body.size());
    const std::string method =
        OneIn(10) ? OneOf<std::string>({"GET", "PUT", "HEAD", "BREW", ""}) : "POST";
    return method + " /v1/" + verb + " HTTP/1.1\r\n" + headers + "Content-Length: " + length +
           "\r\n\r\n" + body;
  }
  void Damage(std::string& request) {
    for (size_t i = 0; i <= Below(5) && !request.empty(); ++i) {
      const size_t at = Below(request.size());
      switch (Below(4)) {
        case 0:
          request[at] = static_cast<char>(random_());
          break;
        case 1:
          request.erase(at, Below(20));
          break;
        case 2:
          request.insert(at, Bytes(20));
          break;
        default:
          request.resize(at);
      }
    }
  }

  std::mt19937 random_;
  const std::string data_;
};

// The chunks and branches it makes on its way are of no interest; that it goes on is.
TEST_CASE_FIXTURE(HostileFixture,
                  "a daemon takes anything, answers others, and keeps no descriptor") {
  const unsigned seed = test::Seed();
  const unsigned long steps = test::FromEnvironment("VELAFS_STEPS", 3000);
  MESSAGE("replay with VELAFS_SEED=", seed, " VELAFS_STEPS=", steps);
  Generator generate(seed, data);
  CheckAnswersOthers();
  size_t open_files = 0;
  for (unsigned long step = 0; step < steps; ++step) {
    INFO("VELAFS_SEED=", seed, " step ", step);
    if (step == steps / 4) open_files = OpenFiles();
    RawClient client(Socket(), RawClient::kWaits);
    client.SendWhatIsTaken(generate.Request());
    if (generate.OneIn(3)) client.ShutDownSending();
    if (generate.OneIn(3)) continue;  // it is gone at once
    client.ShutDownSending();         // what is not whole must not be waited for
    do {
    } while (client.Receive() && !generate.OneIn(10));
    if (step % 50 == 0) CheckAnswersOthers();
  }
  const auto deadline = steady_clock::now() + std::chrono::seconds(20);
  while (OpenFiles() > open_files + 10 && steady_clock::now() < deadline) {
    std::this_thread::sleep_for(milliseconds(20));
  }
  // Page files and packs of what it has made may be open; connections are none.
  CHECK(OpenFiles() <= open_files + 10);
  CheckAnswersOthers();
  CHECK(store->branches().List().ok());
}

// Meant for the sanitizers: they see what one client's request does to another's.
TEST_CASE_FIXTURE(HostileFixture, "many clients at once get each its own answer") {
  std::vector<std::thread> clients;
  std::atomic<int> right = 0;
  for (int i = 0; i < 16; ++i) {
    clients.emplace_back([this, i, &right] {
      auto client = Client::Connect(scratch / "store");
      for (int n = 0; client.ok() && n < 20; ++n) {
        const json arguments = {{"i", i}, {"n", n}};
        const auto answer = (*client)->Call("echo", arguments);
        if (answer.ok() && *answer == arguments) ++right;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(right == 16 * 20);
}

}  // namespace
}  // namespace velafs::api
