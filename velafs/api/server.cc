#include "velafs/api/server.h"

#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <exception>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "velafs/api/audited.h"
#include "velafs/api/connection.h"
#include "velafs/api/http.h"
#include "velafs/api/receiver.h"
#include "velafs/api/turns.h"
#include "velafs/api/unix_socket.h"
#include "velafs/api/users.h"
#include "velafs/api/verbs.h"
#include "velafs/api/wire.h"
#include "velafs/store/govern/access.h"
#include "velafs/store/store.h"

namespace velafs::api {
namespace {

using nlohmann::json;
using std::chrono::steady_clock;

constexpr int kTimeoutMs = 5000;
// A caller who sends an archive delays other imports, gc and seal.
constexpr int kSendPatienceMs = 10 * 60 * 1000;
// Verbs whose answers grow with the store.
constexpr std::array kLongAnswers = {"list", "trash-list", "bookmark-list", "diff"};

// The store needs descriptors too: connections get an eighth of them, and guests' another eighth.
ReceiverLimits LimitsOfReceiver() {
  rlimit descriptors{};
  const bool known = getrlimit(RLIMIT_NOFILE, &descriptors) == 0;
  return {.header_bytes = 8 * 1024,
          .body_bytes = 1024 * 1024,
          .connections = std::min<size_t>(known ? descriptors.rlim_cur / 8 : 128, 4096),
          .total_bytes = 64 * 1024 * 1024,
          .patience = std::chrono::milliseconds(kTimeoutMs)};
}

// A request, its sender, and the connection for the answer.
struct Exchange {
  os::Credentials peer;
  Guest guest;
  Request request;
  Connection connection;
};

std::string Line(const json& value) { return ToText(value) + "\n"; }

std::string RefusalText(int http_status, const Status& failure) {
  return AnswerText(http_status, Line(FailureToJson(failure)));
}

// The requests that are turned down before they get to a verb.
Status FailureOfHttpStatus(int http_status) {
  switch (http_status) {
    case 404:
      return UsageError("no such resource", "verbs are called by POST /v1/VERB");
    case 411:
      return UsageError("the request does not say its Content-Length");
    case 413:
      return UsageError("the request is larger than 1 MiB");
    case 431:
      return UsageError("the request's header is larger than 8 KiB");
    default:
      return UsageError("the request is not one of this API: HTTP status " +
                        std::to_string(http_status));
  }
}

// The answer to a caller with too many running calls.
std::string BusyText(const Guest& guest) {
  const std::string who = guest ? "user " + std::to_string(*guest) : std::string("the daemon");
  return RefusalText(503, Refused(who + " has too many calls under way", "wait for some to end"));
}

class SocketServer : public Server {
 public:
  SocketServer(store::Store& store, ExtraVerbs extra_verbs, const ServerLimits& limits)
      : store_(store),
        extra_verbs_(std::move(extra_verbs)),
        limits_(limits),
        workers_(limits.workers),
        receiver_(LimitsOfReceiver(),
                  [this](os::UniqueFd socket, Request request) {
                    Hand(std::move(socket), std::move(request));
                  }),
        listener_([this](os::UniqueFd socket) {
          const std::optional<os::Credentials> peer = PeerOf(socket.get());
          if (peer) receiver_.Add(std::move(socket), GuestOf(*peer));
        }) {}
  ~SocketServer() override { Stop(); }

  Status Listen() {
    VELAFS_TRY(receiver_.Start());
    // A full disk must not keep a store from being served, and cleaned up.
    os::SpaceReserve reserve(os::HostStorage(), store_.paths().Reserve());
    VELAFS_TRY(reserve.Run([this] { return listener_.Bind(store_.paths().Socket()); }));
    VELAFS_TRY(LetInWhoMay());
    listener_.Start();
    return {};
  }

  void Stop() override {
    if (stopping_.exchange(true)) return;
    unlink(store_.paths().Socket().c_str());
    listener_.Stop();
    receiver_.Stop();
    workers_.Stop();  // returns when every request that was received is answered
  }

  uint64_t served() const override { return served_; }

 private:
  // The caller's number, unless it is one whose calls have no limits of their own.
  Guest GuestOf(const os::Credentials& peer) const {
    const int64_t admins = admin_group_;
    const bool is_admin =
        peer.uid == 0 || peer.uid == geteuid() || int64_t{peer.gid} == admins ||
        std::ranges::any_of(peer.groups, [admins](gid_t gid) { return int64_t{gid} == admins; });
    return is_admin ? Guest() : Guest(peer.uid);
  }

  // Gives a thread only to those who have sent all they have to say.
  void Hand(os::UniqueFd socket, Request request) {
    std::optional<os::Credentials> peer = PeerOf(socket.get());
    if (!peer) return;
    const Guest guest = GuestOf(*peer);
    const auto exchange = std::make_shared<Exchange>(Exchange{
        *std::move(peer), guest, std::move(request), Connection(std::move(socket), kTimeoutMs)});
    const bool runs = workers_.Run(guest, [this, exchange] {
      ++served_;
      Serve(*exchange);
    });
    if (!runs) exchange->connection.WriteWithoutWaiting(BusyText(guest));
  }

  void Serve(Exchange& exchange) try {
    const Request& request = exchange.request;
    if (request.refusal != 0) {
      exchange.connection.Write(RefusalText(request.refusal, FailureOfHttpStatus(request.refusal)));
      return;
    }
    const Result<json> arguments = request.body.empty() ? json::object() : FromText(request.body);
    if (!arguments.ok()) {
      exchange.connection.Write(
          RefusalText(400, arguments.status().WithContext("cannot read the arguments")));
      return;
    }
    // The verb runs to its end even if its caller has gone.
    exchange.connection.Write(ChunkedAnswerText());
    const auto turn = TurnOf(exchange);
    const std::string outcome = Line(OutcomeToJson(Run(exchange, *arguments)));
    BeginPiece(exchange);
    if (exchange.connection.Write(ChunkText(outcome))) exchange.connection.Write(kLastChunk);
  } catch (const std::exception& error) {
    spdlog::error("a request has failed: {}", error.what());
  }

  Result<json> Run(Exchange& exchange, const json& arguments) {
    const std::string& verb = exchange.request.verb;
    const ProgressFn progress = [this, &exchange](const json& event) {
      BeginPiece(exchange);
      return !stopping_ && exchange.connection.is_wanted() &&
             exchange.connection.Write(ChunkText(Line({{"progress", event}})));
    };
    store::Caller caller = CallerOf(exchange.peer.uid);
    caller.gid = exchange.peer.gid;
    caller.groups = exchange.peer.groups;
    caller.pid = exchange.connection.PeerPid();
    if (const auto extra = extra_verbs_.find(verb); extra != extra_verbs_.end()) {
      const Logged logged;
      const AuditedCall audited(caller, verb, logged, arguments);
      return audited.Conclude(store_.audit_log(),
                              RunExtra(extra->second, caller, verb, arguments, progress));
    }
    bool is_asked = false;
    const Streams streams{
        .in = [&](std::span<std::byte> into) { return ReceiveData(exchange, into, &is_asked); },
        .out = [&](std::span<const std::byte> bytes) { return SendData(exchange, bytes); }};
    Result<json> outcome = RunVerb(store_, caller, verb, arguments, progress, streams);
    if (verb == "stats" && outcome.ok() && outcome->contains("users")) {
      AddCalls(workers_.Loads(), &(*outcome)["users"]);
    }
    VELAFS_TRY(LetInWhoMay());  // the verb may have been one that says who
    return outcome;
  }

  Result<json> RunExtra(const ExtraVerb& run, store::Caller& caller, const std::string& verb,
                        const json& arguments, const ProgressFn& progress) {
    caller.role = store::RoleOf(store_.policies(), caller);
    VELAFS_TRY(store::CheckRole(store_.policies(), caller, store::Role::kAdmin)
                   .WithContext("cannot run verb \"" + verb + "\""));
    return run(arguments, progress);
  }

  // The peer is asked for the data, once; then it is what follows its request.
  Result<size_t> ReceiveData(Exchange& exchange, std::span<std::byte> into, bool* is_asked) {
    Connection& connection = exchange.connection;
    if (!*is_asked) {
      BeginPiece(exchange);
      if (!connection.Write(ChunkText(Line({{"send", true}})))) return Failed("interrupted");
      *is_asked = true;
    }
    connection.SetPatience([this] { return !stopping_; });
    const ssize_t got = connection.Receive(into, kSendPatienceMs);
    if (got < 0 && errno == ETIMEDOUT && !stopping_) {
      return Failed("nothing has come for " + std::to_string(kSendPatienceMs / 60000) + " minutes");
    }
    if (got < 0) return Failed("interrupted");
    return static_cast<size_t>(got);
  }

  Turns::Turn TurnOf(const Exchange& exchange) {
    const bool is_long =
        std::ranges::find(kLongAnswers, exchange.request.verb) != kLongAnswers.end();
    return turns_.WaitForTurn(is_long ? exchange.guest : Guest());
  }

  // Who takes what is written next may take his time, but for a guest: he has a thread, and maybe
  // keeps a state, or much memory.
  void BeginPiece(Exchange& exchange) {
    if (exchange.guest) exchange.connection.SetDeadline(steady_clock::now() + limits_.stall);
  }

  Status SendData(Exchange& exchange, std::span<const std::byte> bytes) {
    Connection& connection = exchange.connection;
    BeginPiece(exchange);
    const auto end = steady_clock::now() + limits_.stall;
    connection.SetPatience([this, end, is_guest = exchange.guest.has_value()] {
      return !stopping_ && (!is_guest || steady_clock::now() < end);
    });
    const std::string_view data(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const bool sent = !stopping_ && connection.is_wanted() &&
                      connection.Write(ChunkText(Line({{"data", bytes.size()}}))) &&
                      connection.Write(ChunkText(data));
    return sent ? Status() : Failed("interrupted");
  }

  // Users with a role may connect; each verb checks its caller's role.
  Status LetInWhoMay() {
    const std::optional<uint32_t> admins = store::AdminGroup(store_.policies());
    admin_group_ = admins ? int64_t{*admins} : -1;
    const mode_t mode = store::IsShared(store_.policies()) ? 0666 : 0600;
    if (socket_mode_.exchange(mode) == mode) return {};
    const std::string socket_path = store_.paths().Socket();
    if (chmod(socket_path.c_str(), mode) == 0) return {};
    return SystemError(errno, "cannot set who may call at \"" + socket_path + "\"");
  }

  store::Store& store_;
  const ExtraVerbs extra_verbs_;
  const ServerLimits limits_;
  std::atomic<bool> stopping_ = false;
  std::atomic<uint64_t> served_ = 0;
  std::atomic<mode_t> socket_mode_ = 0;
  std::atomic<int64_t> admin_group_ = -1;  // its members are no guests
  Turns turns_{limits_.long_answers_each};
  // Each uses the one before it.
  Workers workers_;
  Receiver receiver_;
  Listener listener_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::Start(store::Store& store, ExtraVerbs extra_verbs,
                                              const ServerLimits& limits) {
  auto server = std::make_unique<SocketServer>(store, std::move(extra_verbs), limits);
  VELAFS_TRY(server->Listen());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace velafs::api
