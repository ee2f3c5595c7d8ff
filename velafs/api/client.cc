#include "velafs/api/client.h"

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <span>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "velafs/api/configuration.h"
#include "velafs/api/http.h"
#include "velafs/api/unix_socket.h"
#include "velafs/api/verbs.h"
#include "velafs/api/wire.h"
#include "velafs/base/text.h"
#include "velafs/os/file_lock.h"
#include "velafs/os/unique_fd.h"
#include "velafs/store/store.h"

namespace velafs {
namespace api {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr char kStoreOfRoot[] = "/var/lib/velafs";
constexpr milliseconds kConnectTime{3000};
constexpr milliseconds kRetryInterval{20};
// In which a daemon has to take a request, and to say how it is.
constexpr seconds kTakeTime{5};
constexpr seconds kProbeTime{3};
// A verb may be silent for long; a daemon that dies closes the connection.
constexpr seconds kCallTime{7 * 86400};
constexpr size_t kPieceBytes = 256 * 1024;
constexpr int kLookAgainMs = 200;

// Puts the lines of an answer together, from pieces as they arrive.
class AnswerReader {
 public:
  // With `result_text`, a result is put there as it comes, and the outcome is null. Only if it is
  // JSON: it goes to a terminal, and the daemon may be somebody else's.
  AnswerReader(const ProgressFn& progress, const WriteFn& out, std::string* result_text)
      : progress_(progress), out_(out), result_text_(result_text) {}

  // Called when the daemon asks for the data.
  void OnSend(std::function<void()> send) { send_ = std::move(send); }

  // False once the caller wants the verb to stop.
  bool Take(std::string_view piece) {
    while (!piece.empty()) {
      if (data_left_ > 0) {
        const std::string_view data = piece.substr(0, data_left_);
        TakeData(data);
        data_left_ -= data.size();
        piece.remove_prefix(data.size());
        continue;
      }
      const size_t end = piece.find('\n');
      rest_.append(piece.substr(0, end));
      if (end == std::string_view::npos) break;
      piece.remove_prefix(end + 1);
      TakeLine(rest_);
      rest_.clear();
    }
    return !stop_;
  }

  bool has_outcome() const { return has_outcome_; }
  Result<json> TakeOutcome() {
    VELAFS_TRY(out_failure_);
    if (outcome_.is_null()) return json();
    return OutcomeFromJson(std::move(outcome_));
  }

 private:
  void TakeLine(std::string_view line) {
    if (result_text_ != nullptr && line.starts_with(kResultBegins) && json::accept(line)) {
      line.remove_prefix(kResultBegins.size());
      line.remove_suffix(1);
      *result_text_ = line;
      has_outcome_ = true;
      return;
    }
    Result<json> parsed = FromText(line);
    if (!parsed.ok() || !parsed->is_object()) return;
    if (const auto data = parsed->find("data"); data != parsed->end()) {
      if (data->is_number_unsigned()) data_left_ = data->get<size_t>();
      return;
    }
    if (parsed->contains("send")) {
      if (send_) send_();
      return;
    }
    const auto event = parsed->find("progress");
    if (event == parsed->end()) {
      outcome_ = *std::move(parsed);
      has_outcome_ = true;
    } else if (progress_ && !stop_) {
      stop_ = !progress_(*event);
    }
  }

  void TakeData(std::string_view data) {
    if (!out_ || stop_) return;
    out_failure_ = out_(std::as_bytes(std::span(data)));
    stop_ = !out_failure_.ok();
  }

  static constexpr std::string_view kResultBegins = R"({"result":)";

  const ProgressFn& progress_;
  const WriteFn& out_;
  std::string* const result_text_;
  std::function<void()> send_;
  std::string rest_;  // a line's beginning
  size_t data_left_ = 0;
  Status out_failure_;
  bool has_outcome_ = false;
  json outcome_;
  bool stop_ = false;
};

// Sends all of a stream, by a thread of its own.
class Sender {
 public:
  explicit Sender(const Streams& streams) : streams_(streams) {}
  ~Sender() { static_cast<void>(Stop()); }

  // Until the stream's end, or until the other side wants no more. When the stream fails the other
  // side learns that no more comes.
  // The socket may be closed before this has ended.
  void Start(int socket) {
    if (thread_.joinable()) return;
    socket_.Reset(fcntl(socket, F_DUPFD_CLOEXEC, 0));
    thread_ = std::thread([this] { Run(socket_.get()); });
  }
  // Waits until nothing reads the stream any more. Returns its failure.
  Status Stop() {
    stop_ = true;
    if (!thread_.joinable()) return {};
    if (streams_.stop_in) streams_.stop_in();
    thread_.join();
    return failure_;
  }

 private:
  void Run(int socket) {
    std::vector<std::byte> buffer(kPieceBytes);
    while (!stop_) {
      Result<size_t> got = streams_.in(buffer);
      if (!got.ok()) {
        if (stop_) return;
        failure_ = std::move(got).status();
        shutdown(socket, SHUT_WR);
        return;
      }
      if (*got == 0 || !SendAll(socket, std::span(buffer).first(*got))) return;
    }
  }

  bool SendAll(int socket, std::span<const std::byte> bytes) {
    while (!bytes.empty() && !stop_) {
      pollfd writable{socket, POLLOUT, 0};
      if (poll(&writable, 1, kLookAgainMs) <= 0) continue;
      const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
      if (sent > 0) bytes = bytes.subspan(static_cast<size_t>(sent));
    }
    return true;
  }

  const Streams& streams_;
  os::UniqueFd socket_;
  std::atomic<bool> stop_ = false;
  Status failure_;  // of the thread, until it has ended
  std::thread thread_;
};

// JSON holds no other text: a word would become another one on its way.
Status CheckIsUtf8(const json& arguments) {
  for (const auto& [name, value] : arguments.items()) {
    if (value.is_object()) VELAFS_TRY(CheckIsUtf8(value));
    const bool is_utf8 = !value.is_string() || IsUtf8(value.get_ref<const std::string&>());
    if (!is_utf8 || !IsUtf8(name)) return UsageError("argument \"" + name + "\" is not UTF-8");
  }
  return {};
}

// As much as the daemon takes: one that refuses a request need not take all of it. False when it
// takes nothing for too long.
bool SendRequest(int socket, std::string_view request) {
  while (!request.empty()) {
    const ssize_t sent = send(socket, request.data(), request.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return errno != EAGAIN;
    request.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

// Until its end, or until nothing comes for `patience`.
void ReceiveAnswer(int socket, seconds patience, AnswerParser::OnBody on_body) {
  const timeval time{.tv_sec = patience.count(), .tv_usec = 0};
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  AnswerParser answer(std::move(on_body));
  std::vector<char> buffer(kPieceBytes);
  while (!answer.is_over()) {
    const ssize_t got = recv(socket, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return;
    answer.Put({buffer.data(), static_cast<size_t>(got)});
  }
}

class RemoteClient : public Client {
 public:
  explicit RemoteClient(std::string store_directory)
      : store_directory_(std::move(store_directory)),
        socket_path_(store::StorePaths(store_directory_).Socket()) {}

  Result<json> Call(const std::string& verb, const json& arguments, const ProgressFn& progress,
                    const Streams& streams) override {
    VELAFS_TRY(CheckIsUtf8(arguments));
    return Post(verb, arguments, progress, kCallTime, streams);
  }
  Result<std::string> CallForText(const std::string& verb, const json& arguments) override {
    VELAFS_TRY(CheckIsUtf8(arguments));
    std::string text;
    VELAFS_TRY(Post(verb, arguments, nullptr, kCallTime, {}, &text).status());
    return text;
  }
  bool is_remote() const override { return true; }

  enum class Probe { kAnswers, kNobodyThere, kSilent };
  Probe ProbeDaemon() {
    if (access(socket_path_.c_str(), F_OK) != 0) return Probe::kNobodyThere;
    const auto start = steady_clock::now();
    const auto answer = Post("status", json::object(), nullptr, kProbeTime);
    if (answer.status().code() != Code::kUnreachable) return Probe::kAnswers;
    const bool timed_out = steady_clock::now() - start >= kProbeTime;
    return timed_out ? Probe::kSilent : Probe::kNobodyThere;
  }
  Status Silent() const {
    const pid_t pid = os::FileLock::Named(store::StorePaths(store_directory_).Lock());
    const std::string daemon = std::to_string(pid);
    return Unreachable("the daemon of store \"" + store_directory_ + "\" does not answer",
                       pid == 0 ? ""
                                : "it is process " + daemon + ": if it was stopped, kill -CONT " +
                                      daemon + "; else kill -KILL " + daemon + " and mount again");
  }

 private:
  Result<json> Post(const std::string& verb, const json& arguments, const ProgressFn& progress,
                    seconds timeout, const Streams& streams = {},
                    std::string* result_text = nullptr) {
    const Result<os::UniqueFd> connected = ConnectTo(socket_path_, kTakeTime);
    if (!connected.ok()) return Silent();
    const int socket = connected->get();
    AnswerReader answer(progress, streams.out, result_text);
    Sender sender(streams);
    if (streams.in) answer.OnSend([&] { sender.Start(socket); });
    if (!SendRequest(socket, RequestText(verb, ToText(arguments)))) return Silent();
    ReceiveAnswer(socket, timeout, [&](std::string_view piece) {
      // Closing our side asks the daemon to stop; its answer still arrives.
      if (!answer.Take(piece)) shutdown(socket, SHUT_WR);
    });
    VELAFS_TRY(sender.Stop());
    if (answer.has_outcome()) return answer.TakeOutcome();
    return Silent();
  }

  const std::string store_directory_;
  const std::string socket_path_;
};

class LocalClient : public Client {
 public:
  explicit LocalClient(std::unique_ptr<store::Store> store)
      : store_(std::move(store)), caller_(CallerOf(geteuid())) {
    caller_.pid = static_cast<uint32_t>(getpid());
  }

  Result<json> Call(const std::string& verb, const json& arguments, const ProgressFn& progress,
                    const Streams& streams) override {
    VELAFS_TRY(CheckIsUtf8(arguments));
    return RunVerb(*store_, caller_, verb, arguments, progress, streams);
  }
  Result<std::string> CallForText(const std::string& verb, const json& arguments) override {
    VELAFS_ASSIGN(const json result, Call(verb, arguments, nullptr, {}));
    return ToText(result);
  }
  bool is_remote() const override { return false; }

 private:
  const std::unique_ptr<store::Store> store_;
  store::Caller caller_;
};

std::string HomeDirectory() {
  if (std::string home = Environment("HOME"); !home.empty()) return home;
  const passwd* entry = getpwuid(geteuid());
  return entry == nullptr ? "/" : entry->pw_dir;
}

// Sets `daemon` when there is one; else returns what `take` returns, which takes the store's lock.
Status ReachDaemonOr(const std::string& store_directory, std::unique_ptr<Client>* daemon,
                     const std::function<Status()>& take) {
  auto remote = std::make_unique<RemoteClient>(store_directory);
  const auto deadline = steady_clock::now() + kConnectTime;
  while (true) {
    const RemoteClient::Probe probe = remote->ProbeDaemon();
    if (probe == RemoteClient::Probe::kAnswers) {
      *daemon = std::move(remote);
      return {};
    }
    if (probe == RemoteClient::Probe::kSilent) return remote->Silent();
    Status taken = take();
    // Whoever has it may be a command that is soon done, or a daemon about to start or end.
    if (taken.code() != Code::kLocked || steady_clock::now() >= deadline) return taken;
    std::this_thread::sleep_for(kRetryInterval);
  }
}

// A user without a store of his own may not know of the machine's.
Status WithStoreOfMachine(Status failure, const std::string& store_directory) {
  if (failure.code() != Code::kNotFound || geteuid() == 0) return failure;
  if (store_directory != DefaultStoreDirectory()) return failure;
  const auto machine = Configuration::LoadOfMachine();
  if (!machine.ok()) return failure;
  const std::string store = machine->Find("store").value_or(kStoreOfRoot);
  if (access(store.c_str(), F_OK) != 0) return failure;
  return std::move(failure).WithHint("this machine has one: velafs --store " + store +
                                     " ..., or export VELAFS_STORE=" + store +
                                     "; a store of your own: velafs init");
}

}  // namespace

Status AskDaemon(const std::string& store_directory) {
  RemoteClient daemon(store_directory);
  return daemon.ProbeDaemon() == RemoteClient::Probe::kAnswers ? Status() : daemon.Silent();
}

std::string DefaultStoreDirectory() {
  if (geteuid() == 0) return kStoreOfRoot;
  const std::string data_home = Environment("XDG_DATA_HOME");
  return (data_home.empty() ? HomeDirectory() + "/.local/share" : data_home) + "/velafs";
}

StoreAccess::StoreAccess() = default;
StoreAccess::StoreAccess(StoreAccess&&) noexcept = default;
StoreAccess::~StoreAccess() = default;

Result<StoreAccess> ReachStore(const std::string& store_directory) {
  StoreAccess access;
  Status reached = ReachDaemonOr(store_directory, &access.daemon, [&]() -> Status {
    VELAFS_ASSIGN(access.store, store::Store::Open(store_directory));
    return {};
  });
  VELAFS_TRY(WithStoreOfMachine(std::move(reached), store_directory));
  return access;
}

Result<json> CallScrub(const std::string& store_directory, const json& arguments,
                       const ProgressFn& progress) {
  std::unique_ptr<Client> daemon;
  json report;
  VELAFS_TRY(ReachDaemonOr(store_directory, &daemon, [&]() -> Status {
    VELAFS_ASSIGN(report, RunScrubOfClosedStore(store_directory, arguments, progress));
    return {};
  }));
  if (daemon) return daemon->Call("scrub", arguments, progress);
  return report;
}

}  // namespace api

Result<std::unique_ptr<Client>> Client::Connect(const std::string& store_directory) {
  VELAFS_ASSIGN(api::StoreAccess access, api::ReachStore(store_directory));
  if (access.daemon) return std::move(access.daemon);
  return std::unique_ptr<Client>(std::make_unique<api::LocalClient>(std::move(access.store)));
}

std::string StoreDirectory(const std::string& option) {
  std::string directory = option;
  if (directory.empty()) directory = api::Environment("VELAFS_STORE");
  if (directory.empty()) directory = api::DefaultStoreDirectory();
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(directory, error).lexically_normal();
  // "store/" names what "store" does.
  return (path.has_filename() ? path : path.parent_path()).string();
}

}  // namespace velafs
