#include "velafs/api/client.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "tests/os/scratch_directory.h"
#include "velafs/api/server.h"
#include "velafs/client.h"
#include "velafs/os/unique_fd.h"
#include "velafs/store/branch_verbs.h"
#include "velafs/store/store.h"
#include "velafs/store/users.h"

namespace velafs::api {
namespace {

using nlohmann::json;

struct ClientFixture {
  ClientFixture() { REQUIRE(store::Store::Init(directory).ok()); }

  void Serve() {
    auto opened = store::Store::Open(directory);
    REQUIRE_MESSAGE(opened.ok(), opened.status().message());
    store = *std::move(opened);
    Server::ExtraVerbs extra;
    extra["echo"] = [](const json& arguments, const ProgressFn&) { return arguments; };
    extra["count"] = [](const json& arguments, const ProgressFn& progress) -> Result<json> {
      const int limit = arguments["limit"].get<int>();
      for (int i = 0; i < limit; ++i) {
        if (!progress({{"i", i}})) return Failed("interrupted");
      }
      return json{{"counted", limit}};
    };
    auto started = Server::Start(*store, std::move(extra));
    REQUIRE_MESSAGE(started.ok(), started.status().message());
    server = *std::move(started);
  }
  std::unique_ptr<Client> Connect() {
    auto client = Client::Connect(directory);
    REQUIRE_MESSAGE(client.ok(), client.status().message());
    return *std::move(client);
  }

  test::ScratchDirectory scratch;
  std::string directory = scratch / "store";
  std::unique_ptr<store::Store> store;
  std::unique_ptr<Server> server;
};

TEST_CASE_FIXTURE(ClientFixture, "without a daemon the verbs run in this process") {
  const auto client = Connect();
  CHECK_FALSE(client->is_remote());
  CHECK(client->Call("list", json::object())->at("branches").empty());
  CHECK(client->Call("show", {{"name", "none"}}).status().code() == Code::kNotFound);
  CHECK(client->Call("umount", json::object()).status().code() == Code::kUsage);
}

TEST_CASE_FIXTURE(ClientFixture, "a client is the store's one user until it is destroyed") {
  auto client = Connect();
  CHECK(store::Store::Open(directory).status().code() == Code::kLocked);
  client.reset();
  CHECK(store::Store::Open(directory).ok());
}

TEST_CASE_FIXTURE(ClientFixture, "with a daemon the verbs run there, with the same outcome") {
  Serve();
  const auto client = Connect();
  CHECK(client->is_remote());
  CHECK(client->Call("list", json::object())->at("branches").empty());
  const Status missing = client->Call("show", {{"name", "none"}}).status();
  const Status here = store->branches().Show("none").status();
  CHECK(missing.code() == here.code());
  CHECK(missing.message() == here.message());
  CHECK(missing.hint() == here.hint());
}

TEST_CASE_FIXTURE(ClientFixture, "a result is had as text, with and without a daemon") {
  const auto check = [](Client& client) {
    CHECK(*client.CallForText("list", json::object()) == R"({"branches":[]})");
    const auto missing = client.CallForText("show", {{"name", "none"}});
    CHECK(missing.status().code() == Code::kNotFound);
  };
  check(*Connect());
  Serve();
  check(*Connect());
  // Progress comes before the result, and is no part of it.
  CHECK(*Connect()->CallForText("count", {{"limit", 3}}) == R"({"counted":3})");
}

TEST_CASE_FIXTURE(ClientFixture, "every progress event arrives, in order") {
  Serve();
  int next = 0;
  const auto counted = Connect()->Call("count", {{"limit", 1000}}, [&next](const json& event) {
    CHECK(event["i"] == next);
    ++next;
    return true;
  });
  CHECK(next == 1000);
  CHECK(counted->at("counted") == 1000);
}

TEST_CASE_FIXTURE(ClientFixture, "a caller that has enough gets the verb's own answer to that") {
  Serve();
  int events = 0;
  const auto counted = Connect()->Call("count", {{"limit", 1'000'000'000}}, [&events](const json&) {
    ++events;
    return events < 3;
  });
  REQUIRE_FALSE(counted.ok());
  CHECK(counted.status().message() == "interrupted");
  CHECK(events == 3);
}

TEST_CASE_FIXTURE(ClientFixture, "a store too deep for a socket address is served all the same") {
  directory = scratch / std::string(100, 'd') + "/" + std::string(100, 'e');
  REQUIRE(store::Store::Init(directory).ok());
  Serve();
  CHECK(Connect()->is_remote());
}

TEST_CASE_FIXTURE(ClientFixture, "an answer of any size arrives whole") {
  Serve();
  const json arguments = {{"text", std::string(900'000, 'x')}};
  const auto answer = Connect()->Call("echo", arguments);
  REQUIRE(answer.ok());
  CHECK(*answer == arguments);
}

// Answers "list" with that line, and everything else with nothing.
struct FalseDaemon {
  FalseDaemon(const std::string& socket_path, const std::string& list)
      : listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket_path.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(listen(listener.get(), 8) == 0);
    thread = std::thread([this, list] {
      while (true) {
        const os::UniqueFd caller(accept(listener.get(), nullptr, nullptr));
        if (caller.get() < 0) return;
        std::string request(4096, '\0');
        (void)recv(caller.get(), request.data(), request.size(), 0);
        const bool is_list = request.find("/v1/list") != std::string::npos;
        const std::string line = (is_list ? list : R"({"result":{}})") + "\n";
        std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: ";
        answer += std::to_string(line.size()) + "\r\n\r\n" + line;
        (void)send(caller.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
      }
    });
  }
  ~FalseDaemon() {
    shutdown(listener.get(), SHUT_RDWR);
    thread.join();
  }

  os::UniqueFd listener;
  std::thread thread;
};

TEST_CASE_FIXTURE(ClientFixture, "what a false daemon says is no text unless it is JSON") {
  const std::string socket_path = store::StorePaths(directory).Socket();
  {
    const FalseDaemon honest(socket_path, R"({"result":{"branches":[]}})");
    CHECK(*Connect()->CallForText("list", json::object()) == R"({"branches":[]})");
  }
  std::filesystem::remove(socket_path);
  // A terminal would obey it.
  const FalseDaemon hostile(socket_path, "{\"result\":{\"name\":\"\x1b]0;owned\x07\"}}");
  const auto text = Connect()->CallForText("list", json::object());
  CHECK(text.status().code() == Code::kUnreachable);
}

TEST_CASE_FIXTURE(ClientFixture, "a daemon that does not answer is unreachable") {
  const os::UniqueFd silent(socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  store::StorePaths(directory).Socket().copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(bind(silent.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(listen(silent.get(), 8) == 0);
  const auto client = Client::Connect(directory);
  REQUIRE_FALSE(client.ok());
  CHECK(client.status().code() == Code::kUnreachable);
  CHECK(client.status().message() == "the daemon of store \"" + directory + "\" does not answer");
}

TEST_CASE_FIXTURE(ClientFixture, "a daemon that has gone is unreachable, and then it is our turn") {
  Serve();
  const auto client = Connect();
  server.reset();
  CHECK(client->Call("list", json::object()).status().code() == Code::kUnreachable);
  store.reset();
  CHECK_FALSE(Connect()->is_remote());
}

TEST_CASE_FIXTURE(ClientFixture, "a caller waits for another command to finish") {
  auto other = store::Store::Open(directory);
  REQUIRE(other.ok());
  std::thread finish([&other] { other->reset(); });
  CHECK_FALSE(Connect()->is_remote());
  finish.join();
}

TEST_CASE_FIXTURE(ClientFixture,
                  "a store somebody keeps is locked, and the error names the process") {
  const auto other = store::Store::Open(directory);
  REQUIRE(other.ok());
  const auto client = Client::Connect(directory);
  REQUIRE_FALSE(client.ok());
  CHECK(client.status().code() == Code::kLocked);
  CHECK(client.status().message().find(std::to_string(getpid())) != std::string::npos);
}

TEST_CASE_FIXTURE(ClientFixture,
                  "of another user's store without a daemon it is said who mounts it") {
  if (geteuid() != 0) return;  // who else could give it away
  REQUIRE(chown(directory.c_str(), 65534, 65534) == 0);
  const Status gone = Client::Connect(directory).status();
  CHECK(gone.code() == Code::kUnreachable);
  CHECK(gone.message() == "store \"" + directory + "\" is not mounted");
  CHECK(gone.hint() == "no daemon runs: ask an administrator, or user \"" + store::UserName(65534) +
                           "\", to run velafs mount");
}

TEST_CASE_FIXTURE(ClientFixture, "no store is not found") {
  CHECK(Client::Connect(scratch / "none").status().code() == Code::kNotFound);
}

// Sets an environment variable, or unsets it when `value` is null, for a scope.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    Set(value);
  }
  ~ScopedVariable() { Set(old_ ? old_->c_str() : nullptr); }

 private:
  void Set(const char* value) {
    if (value != nullptr) {
      setenv(name_, value, 1);
    } else {
      unsetenv(name_);
    }
  }
  const char* name_;
  std::optional<std::string> old_;
};

TEST_CASE("the store is the option, else the environment, else the user's default") {
  const ScopedVariable store("VELAFS_STORE", "/srv/from-environment");
  CHECK(StoreDirectory("/srv/option") == "/srv/option");
  CHECK(StoreDirectory("/srv/./x/../option/") == "/srv/option");
  CHECK(StoreDirectory("relative") == std::filesystem::current_path() / "relative");
  CHECK(StoreDirectory("") == "/srv/from-environment");

  const ScopedVariable no_store("VELAFS_STORE", nullptr);
  const ScopedVariable data_home("XDG_DATA_HOME", "/home/u/data");
  CHECK(StoreDirectory("") == (geteuid() == 0 ? "/var/lib/velafs" : "/home/u/data/velafs"));
}

}  // namespace
}  // namespace velafs::api
