#include "pgctl-wrapper/server/single_user.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>

namespace velafs::pgctl {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPoll{50};
constexpr milliseconds kTimeToEnd{5000};
constexpr uint64_t kMostOutputBytes = 64 << 20;
constexpr const char* kEnded = "the server ended by itself";
constexpr std::string_view kRow = "@row";
constexpr std::string_view kDone = "@done";
constexpr std::string_view kEnd = "@end";

std::string ToHex(const std::string& bytes) {
  std::string hex;
  char digits[3];
  for (const char c : bytes) {
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(c));
    hex += digits;
  }
  return hex;
}

// 0 of what is no number: a library of the branch's may print anything.
int ByteOf(std::string_view digits) {
  int value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return value;
}

std::string FromHex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(ByteOf(hex.substr(i, 2)));
  }
  return bytes;
}

// Of "@row,6162,", one column per comma.
Row ToRow(std::string_view line) {
  line.remove_prefix(kRow.size() + 1);
  Row row;
  for (size_t comma; (comma = line.find(',')) != std::string_view::npos;) {
    row.push_back(FromHex(line.substr(0, comma)));
    line.remove_prefix(comma + 1);
  }
  return row;
}

}  // namespace

bool EndedByItself(const Status& failure) { return failure.message() == kEnded; }

std::string SqlText(const std::string& bytes) {
  return "pg_catalog.convert_from(pg_catalog.decode('" + ToHex(bytes) +
         "', 'hex'), pg_catalog.getdatabaseencoding())";
}

std::string SqlLiteral(const std::string& bytes) {
  const std::string hex = ToHex(bytes);
  std::string literal = "E'";
  for (size_t i = 0; i < hex.size(); i += 2) literal += "\\x" + hex.substr(i, 2);
  return literal + "'";
}

Result<SingleUser> SingleUser::Start(Command command, Patience patience) {
  int input[2];
  int output[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, input) != 0) {
    return SystemError(errno, "cannot make a socket");
  }
  const UniqueFd its_input(input[0]);
  UniqueFd in(input[1]);
  if (pipe2(output, O_CLOEXEC) != 0) return SystemError(errno, "cannot make a pipe");
  UniqueFd out(output[0]);
  const UniqueFd its_output(output[1]);
  command.stdin_fd = its_input.get();
  command.stdout_fd = its_output.get();
  VELAFS_ASSIGN(const pid_t pid, Spawn(command));
  VELAFS_ASSIGN(UniqueFd pidfd, OpenPidFd(pid));
  SingleUser server(pid, std::move(pidfd), std::move(patience));
  server.in_ = std::move(in);
  server.out_ = std::move(out);
  return server;
}

SingleUser::~SingleUser() {
  if (!pidfd_) return;
  in_.Reset();
  EndChild(pid_, SIGTERM, kTimeToEnd);
}

Status SingleUser::CheckPatience() const {
  if (patience_.is_cancelled()) return Failed("it was interrupted");
  if (std::chrono::steady_clock::now() < patience_.deadline) return {};
  return Failed("it took too long", "give it more time with --timeout");
}

Result<std::string> SingleUser::ReadLine() {
  size_t end;
  for (size_t searched = 0; (end = unread_.find('\n', searched)) == std::string::npos;) {
    searched = unread_.size();
    VELAFS_TRY(CheckPatience());
    pollfd readable{out_.get(), POLLIN, 0};
    if (poll(&readable, 1, static_cast<int>(kPoll.count())) <= 0) continue;
    char buffer[4096];
    const ssize_t count = read(out_.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return Failed(kEnded);
    output_bytes_ += static_cast<uint64_t>(count);
    if (output_bytes_ > kMostOutputBytes) return Failed("its server prints without end");
    unread_.append(buffer, static_cast<size_t>(count));
  }
  std::string line = unread_.substr(0, end);
  unread_.erase(0, end + 1);
  const size_t ours = line.find('@');  // the prompt comes before it
  return ours == std::string::npos ? "" : line.substr(ours);
}

Status SingleUser::Execute(const std::string& statement) {
  const std::string line = statement + "\n";
  for (std::string_view rest = line; !rest.empty();) {
    const ssize_t count = send(in_.get(), rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {  // the server reads nothing
      VELAFS_TRY(CheckPatience());
      pollfd writable{in_.get(), POLLOUT, 0};
      poll(&writable, 1, static_cast<int>(kPoll.count()));
      continue;
    }
    if (count < 0) return Failed(kEnded);
    rest.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

Result<std::vector<Row>> SingleUser::Query(const std::vector<std::string>& columns,
                                           const std::string& rest) {
  std::string select = "'" + std::string(kRow) + ",'";
  for (const std::string& column : columns) {
    select += " || COALESCE(pg_catalog.encode(pg_catalog.textsend((" + column +
              ")::pg_catalog.text), 'hex'), '') || ','";
  }
  // After an error there is neither a row nor the last one, but still the end.
  VELAFS_TRY(Execute("COPY (SELECT " + select + " " + rest + " UNION ALL SELECT '" +
                     std::string(kDone) + "') TO STDOUT"));
  VELAFS_TRY(Execute("COPY (SELECT '" + std::string(kEnd) + "') TO STDOUT"));
  std::vector<Row> rows;
  bool is_done = false;
  for (;;) {
    VELAFS_ASSIGN(const std::string read, ReadLine());
    if (read == kEnd) break;
    if (read == kDone) is_done = true;
    if (read.starts_with(kRow)) rows.push_back(ToRow(read));
  }
  if (!is_done) return Failed("the server refused a statement");
  return rows;
}

Status SingleUser::Finish() {
  in_.Reset();
  while (!WaitForEnd(pidfd_, kPoll)) VELAFS_TRY(CheckPatience());
  const int exit_status = WaitForExit(pid_);
  pidfd_.Reset();
  return exit_status == 0 ? Status() : Failed(kEnded);
}

}  // namespace velafs::pgctl
