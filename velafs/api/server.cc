#include "velafs/api/server.h"

#include <httplib.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <utility>

#include "velafs/api/connection.h"
#include "velafs/api/socket_address.h"
#include "velafs/api/verbs.h"
#include "velafs/api/wire.h"

namespace velafs::api {
namespace {

using nlohmann::json;

constexpr char kContentType[] = "application/x-ndjson";
// Set from the socket on every request, whatever the client sent by that name.
constexpr char kUidHeader[] = "Velafs-Peer-Uid";
constexpr size_t kMaxBodyBytes = 1024 * 1024;
constexpr int kTimeoutMs = 5000;
// Each running verb has one; most wait.
constexpr size_t kThreads = 32;
constexpr int kBacklog = 128;

std::string Line(const json& value) { return ToText(value) + "\n"; }

void Answer(httplib::Response& response, int http_status, const Status& failure) {
  response.status = http_status;
  response.set_content(Line(FailureToJson(failure)), kContentType);
}

// The requests httplib itself turns down.
Status FailureOfHttpStatus(int http_status) {
  if (http_status == 413) return UsageError("the request is larger than 1 MiB");
  if (http_status == 404) {
    return UsageError("no such resource", "verbs are called by POST /v1/VERB");
  }
  return UsageError("the request is not one of this API: HTTP status " +
                    std::to_string(http_status));
}

// httplib's server, taught who its peers are.
class UnixHttpServer : public httplib::Server {
 public:
  UnixHttpServer() {
    new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
    set_address_family(AF_UNIX);
    set_payload_max_length(kMaxBodyBytes);
    set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (response.body.empty()) {
        Answer(response, response.status, FailureOfHttpStatus(response.status));
      }
    });
  }

  // Binds and listens; false with errno set.
  bool Bind(const std::string& address) {
    constexpr int kAnyPort = 80;  // means nothing for a Unix socket, but 0 would be looked up
    // The library's own backlog is 5: too few for a burst of commands.
    return bind_to_port(address, kAnyPort) && ::listen(svr_sock_, kBacklog) == 0;
  }

 private:
  bool process_and_close_socket(socket_t socket) override {
    Connection connection(os::UniqueFd(socket), kTimeoutMs);
    uint32_t uid = 0;
    if (!connection.PeerUid(&uid)) return false;
    bool closed = false;
    return process_request(connection, /*close_connection=*/true, closed,
                           [uid](httplib::Request& request) {
                             request.headers.erase(kUidHeader);
                             request.set_header(kUidHeader, std::to_string(uid));
                           });
  }
};

class SocketServer : public Server {
 public:
  SocketServer(store::Store& store, ExtraVerbs extra_verbs)
      : store_(store), extra_verbs_(std::move(extra_verbs)) {
    http_.Post("/v1/([a-z-]+)", [this](const httplib::Request& request,
                                       httplib::Response& response) { Handle(request, response); });
  }
  ~SocketServer() override { Stop(); }

  Status Listen() {
    const std::string socket_path = store_.paths().Socket();
    if (unlink(socket_path.c_str()) != 0 && errno != ENOENT) {
      return SystemError(errno, "cannot remove \"" + socket_path + "\"");
    }
    VELAFS_ASSIGN(const SocketAddress address, SocketAddress::Of(socket_path));
    if (!http_.Bind(address.path)) {
      return SystemError(errno, "cannot listen at \"" + socket_path + "\"");
    }
    if (chmod(socket_path.c_str(), 0600) != 0) {
      return SystemError(errno, "cannot protect \"" + socket_path + "\"");
    }
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
  }

 private:
  void Handle(const httplib::Request& request, httplib::Response& response) {
    const uint32_t uid = static_cast<uint32_t>(std::stoul(request.get_header_value(kUidHeader)));
    if (uid != geteuid() && uid != 0) {
      Answer(response, 403, Refused("store \"" + store_.paths().root + "\" is another user's"));
      return;
    }
    Result<json> arguments = request.body.empty() ? json::object() : FromText(request.body);
    if (!arguments.ok()) {
      Answer(response, 400, std::move(arguments).status().WithContext("cannot read the arguments"));
      return;
    }
    response.set_chunked_content_provider(
        kContentType, [this, uid, verb = std::string(request.matches[1]),
                       arguments = *std::move(arguments)](size_t, httplib::DataSink& sink) {
          const std::string outcome = Line(OutcomeToJson(Run(uid, verb, arguments, sink)));
          sink.write(outcome.data(), outcome.size());
          sink.done();
          return true;
        });
  }

  Result<json> Run(uint32_t uid, const std::string& verb, const json& arguments,
                   httplib::DataSink& sink) {
    const ProgressFn progress = [this, &sink](const json& event) {
      const std::string line = Line({{"progress", event}});
      return !stopping_ && sink.is_writable() && sink.write(line.data(), line.size());
    };
    if (const auto extra = extra_verbs_.find(verb); extra != extra_verbs_.end()) {
      return extra->second(arguments, progress);
    }
    return RunVerb(store_, CallerOf(uid), verb, arguments, progress);
  }

  store::Store& store_;
  const ExtraVerbs extra_verbs_;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> ended_ = false;  // takes no more calls, by Stop or for want of memory
  UnixHttpServer http_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::Start(store::Store& store, ExtraVerbs extra_verbs) {
  auto server = std::make_unique<SocketServer>(store, std::move(extra_verbs));
  VELAFS_TRY(server->Listen());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace velafs::api
