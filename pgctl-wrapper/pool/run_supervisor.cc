#include "pgctl-wrapper/pool/run_supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <optional>
#include <thread>
#include <utility>

#include "pgctl-wrapper/command/output.h"
#include "pgctl-wrapper/pool/throw_away.h"
#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/server/session.h"
#include "velafs/base/units.h"

namespace velafs::pgctl {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr char kCloning = 'i';
constexpr char kCloned = 'c';
constexpr char kNotCloned = 'x';

// How long a clone that velapg asked for as it died may take to appear.
constexpr milliseconds kAppearTime{3000};
constexpr milliseconds kAppearPollInterval{20};

// The clone; nothing when it is not there.
Result<std::optional<Branch>> FindClone(Session& session, const std::string& name,
                                        bool may_appear) {
  const auto deadline = steady_clock::now() + kAppearTime;
  for (;;) {
    Result<Branch> branch = session.Find(name);
    if (branch.ok()) return std::optional<Branch>(*std::move(branch));
    if (branch.status().code() != Code::kNotFound) return std::move(branch).status();
    if (!may_appear || steady_clock::now() >= deadline) return std::optional<Branch>();
    std::this_thread::sleep_for(kAppearPollInterval);
  }
}

Status CleanUp(const RunClone& clone, bool may_appear) {
  VELAFS_ASSIGN(Session session, Session::Open(clone.store_option));
  VELAFS_ASSIGN(const std::optional<Branch> branch, FindClone(session, clone.name, may_appear));
  if (!branch) return {};
  return clone.keep ? StopServerOn(session, *branch, StopMode::kFast) : ThrowAway(session, *branch);
}

// Also while the machine sleeps.
seconds SinceBoot() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return seconds(now.tv_sec);
}

// Renews a clone's lease in time.
class LeaseKeeper {
 public:
  explicit LeaseKeeper(const RunClone& clone) : clone_(clone), renewed_at_(SinceBoot()) {}

  // When to call Tend again.
  milliseconds NextLook() const {
    if (lease_ == seconds(0)) return seconds(1);
    return std::clamp<milliseconds>(lease_ / kRenewals, milliseconds(100), kLongestLook);
  }
  // What fails is tried again at the next look.
  void Tend() {
    if (lease_ > seconds(0) && SinceBoot() - renewed_at_ < lease_ / kRenewals) return;
    Result<Session> session = Session::Open(clone_.store_option);
    if (!session.ok()) return;
    const Result<seconds> lease = RunLease(*session, clone_.name);
    if (!lease.ok()) return;
    const bool is_known = std::exchange(lease_, *lease) > seconds(0);
    if (!is_known) return;  // the clone was made with it
    const bool renewed =
        session->Call("ttl", {{"name", clone_.name}, {"ttl", std::to_string(lease->count()) + "s"}})
            .ok();
    if (renewed) renewed_at_ = SinceBoot();
  }

 private:
  static constexpr int kRenewals = 3;  // of which two may fail
  static constexpr milliseconds kLongestLook = std::chrono::minutes(1);
  const RunClone& clone_;
  seconds lease_{0};  // not known yet
  seconds renewed_at_;
};

// The last word said before the pipe ended; 0 when there was none.
char LastWord(const RunClone& clone, const UniqueFd& words) {
  char last = 0;
  LeaseKeeper lease(clone);
  for (;;) {
    const bool keeps_lease = last == kCloned && !clone.keep;
    const milliseconds patience = lease.NextLook();
    pollfd said{words.get(), POLLIN, 0};
    if (poll(&said, 1, keeps_lease ? static_cast<int>(patience.count()) : -1) == 0) {
      lease.Tend();
      continue;
    }
    char word = 0;
    const ssize_t count = read(words.get(), &word, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return last;
    last = word;
  }
}

// The supervising process: never returns.
[[noreturn]] void Supervise(const RunClone& clone, const UniqueFd& words) {
  setsid();
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) signal(number, SIG_IGN);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  dup2(null, STDIN_FILENO);
  dup2(null, STDOUT_FILENO);
  const char word = LastWord(clone, words);
  if (word != kCloning && word != kCloned) _exit(0);
  const Status status = CleanUp(clone, word == kCloning);
  if (status.ok()) _exit(0);
  const Output output(/*as_json=*/false, /*quiet=*/false);
  output.Warn("cannot clean up branch \"" + clone.name + "\": " + status.message());
  _exit(1);
}

}  // namespace

Result<seconds> RunLease(Session& session, const std::string& branch) {
  constexpr seconds kLease = std::chrono::hours(12);
  VELAFS_ASSIGN(const std::string policy, session.Policy(branch, "max_ttl"));
  if (policy.empty()) return kLease;
  VELAFS_ASSIGN(const seconds most, ParseDuration(policy));
  return std::min(kLease, most);
}

Result<RunSupervisor> RunSupervisor::Start(const RunClone& clone) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return SystemError(errno, "cannot make a pipe");
  UniqueFd words_out(ends[0]);
  UniqueFd words_in(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return SystemError(errno, "cannot start a process");
  if (pid == 0) {
    words_in.Reset();
    Supervise(clone, words_out);
  }
  return RunSupervisor(pid, std::move(words_in));
}

void RunSupervisor::Say(char word) {
  [[maybe_unused]] const ssize_t written = write(words_.get(), &word, 1);
}

void RunSupervisor::Cloning() { Say(kCloning); }
void RunSupervisor::Cloned() { Say(kCloned); }
void RunSupervisor::NotCloned() { Say(kNotCloned); }

void RunSupervisor::Finish() {
  words_.Reset();
  WaitForExit(pid_);
}

}  // namespace velafs::pgctl
