#include "velafs/api/server.h"

#include <httplib.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/socket.h>
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
#include <thread>
#include <utility>

#include "velafs/api/audited.h"
#include "velafs/api/connection.h"
#include "velafs/api/receiver.h"
#include "velafs/api/socket_address.h"
#include "velafs/api/turns.h"
#include "velafs/api/users.h"
#include "velafs/api/verbs.h"
#include "velafs/api/wire.h"
#include "velafs/store/access.h"

namespace velafs::api {
namespace {

using nlohmann::json;

constexpr char kContentType[] = "application/x-ndjson";
constexpr size_t kMaxBodyBytes = 1024 * 1024;
constexpr size_t kMaxPathBytes = 128;
constexpr int kTimeoutMs = 5000;
constexpr int kBacklog = 128;
// Who sends an archive keeps other imports, gc and the verb seal waiting.
constexpr int kSendPatienceMs = 10 * 60 * 1000;
// Verbs whose answers grow with what there is in the store.
constexpr std::array kLongAnswers = {"list", "trash-list", "bookmark-list", "diff"};

// The store needs descriptors too: who connects takes an eighth of them, and guests another.
ReceiverLimits LimitsOfReceiver() {
  rlimit descriptors{};
  const bool known = getrlimit(RLIMIT_NOFILE, &descriptors) == 0;
  return {.header_bytes = 8 * 1024,
          .body_bytes = kMaxBodyBytes,
          .connections = std::min<size_t>(known ? descriptors.rlim_cur / 8 : 128, 4096),
          .total_bytes = 64 * 1024 * 1024,
          .patience = std::chrono::milliseconds(kTimeoutMs)};
}

// Who is at the other end of the request this thread works on, and the way there.
struct Peer {
  os::Credentials user;
  Guest guest;
  uint32_t pid = 0;
  Connection* connection = nullptr;
};
thread_local Peer peer_of_request;

std::string Line(const json& value) { return ToText(value) + "\n"; }

void Answer(httplib::Response& response, int http_status, const Status& failure) {
  response.status = http_status;
  response.set_content(Line(FailureToJson(failure)), kContentType);
}

// What httplib would take, and must not: 0 for the rest.
int StatusOfRequest(const httplib::Request& request) {
  // A request's end is told by its length, before anybody looks at its coding.
  if (request.has_header("Transfer-Encoding")) return 411;
  // A small body could become a very large one.
  if (request.has_header("Content-Encoding")) return 415;
  // Its pattern for paths needs stack for each character.
  return request.path.size() > kMaxPathBytes ? 404 : 0;
}

// The requests that are turned down before they get to a verb.
Status FailureOfHttpStatus(int http_status) {
  if (http_status == 411) return UsageError("the request does not say its Content-Length");
  if (http_status == 413) return UsageError("the request is larger than 1 MiB");
  if (http_status == 404) {
    return UsageError("no such resource", "verbs are called by POST /v1/VERB");
  }
  return UsageError("the request is not one of this API: HTTP status " +
                    std::to_string(http_status));
}

// What a caller is told who has too many calls under way, before anybody has read this one.
void AnswerBusy(const Connection& connection, const Workers::Guest& guest) {
  const std::string who = guest ? "user " + std::to_string(*guest) : std::string("the daemon");
  const std::string body =
      Line(FailureToJson(Refused(who + " has too many calls under way", "wait for some to end")));
  const std::string answer =
      "HTTP/1.1 503 Service Unavailable\r\nContent-Type: " + std::string(kContentType) +
      "\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body;
  // Who does not take it is not waited for.
  (void)::send(connection.socket(), answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

// What httplib queues is only to hand a connection to the receiver.
class Inline : public httplib::TaskQueue {
 public:
  void enqueue(std::function<void()> task) override { task(); }
  void shutdown() override {}
};

// httplib's server, taught who its peers are, and to give a thread only to those who have sent all
// they have to say.
class UnixHttpServer : public httplib::Server {
 public:
  explicit UnixHttpServer(const WorkerLimits& limits)
      : workers_(limits),
        receiver_(LimitsOfReceiver(), [this](os::UniqueFd socket, std::string received) {
          Hand(std::move(socket), std::move(received));
        }) {
    new_task_queue = [] { return new Inline; };
    set_address_family(AF_UNIX);
    set_payload_max_length(kMaxBodyBytes);
    set_pre_routing_handler([](const httplib::Request& request, httplib::Response& response) {
      const int refusal = StatusOfRequest(request);
      if (refusal == 0) return HandlerResponse::Unhandled;
      response.status = refusal;
      return HandlerResponse::Handled;
    });
    set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (response.body.empty()) {
        Answer(response, response.status, FailureOfHttpStatus(response.status));
      }
    });
  }

  Status StartReceiver() { return receiver_.Start(); }
  // Once it does not listen any more: returns when every request that was received is answered.
  void FinishRequests() {
    receiver_.Stop();
    workers_.Stop();
  }

  std::map<uint32_t, Workers::Load> Loads() { return workers_.Loads(); }
  // Members of that group are no guests from now on.
  void SetAdminGroup(const std::optional<uint32_t>& group) {
    admin_group_ = group ? int64_t{*group} : -1;
  }
  // The caller's number, unless it is one whose calls have no limits of their own.
  Workers::Guest GuestOf(const os::Credentials& peer) const {
    const int64_t admins = admin_group_;
    const bool is_admin =
        peer.uid == 0 || peer.uid == geteuid() || int64_t{peer.gid} == admins ||
        std::ranges::any_of(peer.groups, [admins](gid_t gid) { return int64_t{gid} == admins; });
    return is_admin ? Workers::Guest() : Workers::Guest(peer.uid);
  }

  // Binds and listens; false with errno set.
  bool Bind(const std::string& address) {
    constexpr int kAnyPort = 80;  // means nothing for a Unix socket, but 0 would be looked up
    // The library's own backlog is 5: too few for a burst of commands.
    return bind_to_port(address, kAnyPort) && ::listen(svr_sock_, kBacklog) == 0;
  }

 private:
  bool process_and_close_socket(socket_t socket) override {
    os::UniqueFd accepted(socket);
    const std::optional<os::Credentials> peer = PeerOf(accepted.get());
    if (peer) receiver_.Add(std::move(accepted), GuestOf(*peer));
    return true;
  }

  void Hand(os::UniqueFd socket, std::string received) {
    const std::optional<os::Credentials> peer = PeerOf(socket.get());
    if (!peer) return;
    auto connection =
        std::make_shared<Connection>(std::move(socket), std::move(received), kTimeoutMs);
    const Workers::Guest guest = GuestOf(*peer);
    const bool runs = workers_.Run(
        guest, [this, connection, user = *peer, guest] { Serve(*connection, user, guest); });
    if (!runs) AnswerBusy(*connection, guest);
  }

  void Serve(Connection& connection, const os::Credentials& user, const Guest& guest) try {
    peer_of_request = {user, guest, connection.PeerPid(), &connection};
    bool closed = false;
    process_request(connection, /*close_connection=*/true, closed, nullptr);
  } catch (const std::exception& error) {
    spdlog::error("a request has failed: {}", error.what());
  }

  std::atomic<int64_t> admin_group_ = -1;
  Workers workers_;
  Receiver receiver_;  // uses workers_
};

class SocketServer : public Server {
 public:
  SocketServer(store::Store& store, ExtraVerbs extra_verbs, const ServerLimits& limits)
      : store_(store),
        extra_verbs_(std::move(extra_verbs)),
        limits_(limits),
        http_(limits.workers) {
    http_.Post("/v1/([a-z-]+)", [this](const httplib::Request& request,
                                       httplib::Response& response) { Handle(request, response); });
  }
  ~SocketServer() override { Stop(); }

  Status Listen() {
    const std::string socket_path = store_.paths().Socket();
    if (unlink(socket_path.c_str()) != 0 && errno != ENOENT) {
      return SystemError(errno, "cannot remove \"" + socket_path + "\"");
    }
    VELAFS_TRY(http_.StartReceiver());
    VELAFS_ASSIGN(const SocketAddress address, SocketAddress::Of(socket_path));
    if (!http_.Bind(address.path)) {
      return SystemError(errno, "cannot listen at \"" + socket_path + "\"");
    }
    VELAFS_TRY(LetInWhoMay());
    thread_ = std::thread([this] {
      http_.listen_after_bind();
      if (!stopping_) spdlog::error("the API has failed and takes no more calls");
      ended_ = true;
    });
    return {};
  }

  void Stop() override {
    if (stopping_.exchange(true) || !thread_.joinable()) return;
    // Only a server that runs can be stopped.
    while (!http_.is_running() && !ended_) std::this_thread::yield();
    unlink(store_.paths().Socket().c_str());
    http_.stop();
    thread_.join();
    http_.FinishRequests();
  }

 private:
  void Handle(const httplib::Request& request, httplib::Response& response) {
    const Peer peer = peer_of_request;
    Result<json> arguments = request.body.empty() ? json::object() : FromText(request.body);
    if (!arguments.ok()) {
      Answer(response, 400, std::move(arguments).status().WithContext("cannot read the arguments"));
      return;
    }
    response.set_chunked_content_provider(
        kContentType, [this, peer, verb = std::string(request.matches[1]),
                       arguments = *std::move(arguments)](size_t, httplib::DataSink& sink) {
          const auto turn = TurnOf(peer, verb);
          const std::string outcome = Line(OutcomeToJson(Run(peer, verb, arguments, sink)));
          BeginPiece(peer);
          sink.write(outcome.data(), outcome.size());
          sink.done();
          return true;
        });
  }

  Result<json> Run(const Peer& peer, const std::string& verb, const json& arguments,
                   httplib::DataSink& sink) {
    const ProgressFn progress = [this, &peer, &sink](const json& event) {
      const std::string line = Line({{"progress", event}});
      BeginPiece(peer);
      return !stopping_ && sink.is_writable() && sink.write(line.data(), line.size());
    };
    store::Caller caller = CallerOf(peer.user.uid);
    caller.gid = peer.user.gid;
    caller.groups = peer.user.groups;
    caller.pid = peer.pid;
    if (const auto extra = extra_verbs_.find(verb); extra != extra_verbs_.end()) {
      const Logged logged;
      const AuditedCall audited(caller, verb, logged, arguments);
      return audited.Conclude(store_.audit_log(),
                              RunExtra(extra->second, caller, verb, arguments, progress));
    }
    bool is_asked = false;
    const Streams streams{
        .in = [&](std::span<std::byte> into) { return ReceiveData(peer, into, sink, &is_asked); },
        .out = [&](std::span<const std::byte> bytes) { return SendData(peer, bytes, sink); }};
    Result<json> outcome = RunVerb(store_, caller, verb, arguments, progress, streams);
    if (verb == "stats" && outcome.ok() && outcome->contains("users")) {
      AddCalls(http_.Loads(), &(*outcome)["users"]);
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
  Result<size_t> ReceiveData(const Peer& peer, std::span<std::byte> into, httplib::DataSink& sink,
                             bool* is_asked) {
    if (!*is_asked) {
      BeginPiece(peer);
      const std::string line = Line({{"send", true}});
      if (!sink.write(line.data(), line.size())) return Failed("interrupted");
      *is_asked = true;
    }
    peer.connection->SetPatience([this] { return !stopping_; });
    const ssize_t got = peer.connection->Receive(into, kSendPatienceMs);
    if (got < 0 && errno == ETIMEDOUT && !stopping_) {
      return Failed("nothing has come for " + std::to_string(kSendPatienceMs / 60000) + " minutes");
    }
    if (got < 0) return Failed("interrupted");
    return static_cast<size_t>(got);
  }

  Turns::Turn TurnOf(const Peer& peer, const std::string& verb) {
    const bool is_long = std::ranges::find(kLongAnswers, verb) != kLongAnswers.end();
    return turns_.Take(is_long ? peer.guest : Guest());
  }

  // Who takes what is written next may take his time, but for a guest: he has a thread, and maybe
  // keeps a state, or much memory.
  void BeginPiece(const Peer& peer) {
    if (peer.guest) peer.connection->SetDeadline(std::chrono::steady_clock::now() + limits_.stall);
  }

  Status SendData(const Peer& peer, std::span<const std::byte> bytes, httplib::DataSink& sink) {
    BeginPiece(peer);
    const auto end = std::chrono::steady_clock::now() + limits_.stall;
    peer.connection->SetPatience([this, end, is_guest = peer.guest.has_value()] {
      return !stopping_ && (!is_guest || std::chrono::steady_clock::now() < end);
    });
    const std::string line = Line({{"data", bytes.size()}});
    const bool sent = !stopping_ && sink.is_writable() && sink.write(line.data(), line.size()) &&
                      sink.write(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return sent ? Status() : Failed("interrupted");
  }

  // Whoever has a role may connect, and everybody may ask; each verb looks at who it is.
  Status LetInWhoMay() {
    http_.SetAdminGroup(store::AdminGroup(store_.policies()));
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
  std::atomic<mode_t> socket_mode_ = 0;
  std::atomic<bool> ended_ = false;  // takes no more calls, by Stop or for want of memory
  Turns turns_{limits_.long_answers_each};
  UnixHttpServer http_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::Start(store::Store& store, ExtraVerbs extra_verbs,
                                              const ServerLimits& limits) {
  auto server = std::make_unique<SocketServer>(store, std::move(extra_verbs), limits);
  VELAFS_TRY(server->Listen());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace velafs::api
