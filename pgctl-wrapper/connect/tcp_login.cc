#include "pgctl-wrapper/connect/tcp_login.h"

#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "pgctl-wrapper/connect/own_session.h"
#include "pgctl-wrapper/connect/scram.h"
#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/process/text_file.h"
#include "velafs/base/check.h"

namespace velafs::pgctl {
namespace {

using nlohmann::json;

constexpr size_t kPasswordBytes = 20;  // as twice as many hexadecimal digits: no URL encodes them
constexpr size_t kSaltBytes = 16;
// The salts of velapg's verifiers begin with it, so that those of earlier starts, and of the branch
// that a clone was made of, are known again.
constexpr char kSaltMark[] = "velapg";
constexpr char kOwnVerifiers[] = "SCRAM-SHA-256$4096:dmVsYXBn%";  // for LIKE: with that mark
constexpr uint64_t kMostLoginFileBytes = 64 * 1024;
constexpr const char* kDatabases[] = {"template1", "postgres"};  // seldom both dropped
constexpr int kNoConnection = 2;                                 // psql's exit status

std::string FileIn(const RunDir& run_dir) { return run_dir.path + "/tcp-login.json"; }

std::string RandomBytes(size_t count) {
  std::string bytes(count, '\0');
  VELAFS_CHECK(getrandom(bytes.data(), count, 0) == static_cast<ssize_t>(count));
  return bytes;
}

std::string ToHex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    hex += {kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return hex;
}

std::string SqlQuote(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? "''" : std::string(1, c);
  return quoted + "'";
}

// Prints what there is to say of the role, and gives it the verifier. Another role that has one of
// velapg's loses it: who knew an earlier password logs in no more. Neither the server's log nor
// psql's arguments get to see that.
std::string ScriptFor(const std::string& role, const std::string& verifier) {
  const std::string name = SqlQuote(role);
  const std::string wanted = SqlQuote(verifier);
  return "SET log_statement = 'none';\n"
         "SET log_min_duration_statement = -1;\n"
         "SET log_min_error_statement = 'panic';\n"
         "SET default_transaction_read_only = off;\n"
         "SET standard_conforming_strings = on;\n"
         "SELECT CASE WHEN NOT rolcanlogin THEN 'no login' WHEN rolvaliduntil < now() THEN "
         "'expired' ELSE 'admitted' END\n"
         "FROM pg_catalog.pg_authid WHERE rolname = " +
         name +
         ";\n"
         "SELECT pg_catalog.format('ALTER ROLE %I PASSWORD %L', rolname,\n"
         "  CASE WHEN rolname = " +
         name + " THEN " + wanted +
         " END)\n"
         "FROM pg_catalog.pg_authid\n"
         "WHERE rolname = " +
         name + " AND rolcanlogin OR rolname <> " + name + " AND rolpassword LIKE " +
         SqlQuote(kOwnVerifiers) + " \\gexec\n";
}

Result<UniqueFd> MakeInput(const std::string& text) {
  UniqueFd file(memfd_create("input", MFD_CLOEXEC));
  if (file && pwrite(file.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()))
    return file;
  return SystemError(errno, "cannot make a memory file");
}

Result<Captured> RunPsqlIn(const TcpServer& server, const char* database,
                           const std::string& script) {
  VELAFS_ASSIGN(const UniqueFd input, MakeInput(script));
  Command psql;
  const std::string beside = server.home.programs.Path("psql");
  psql.argv = {access(beside.c_str(), X_OK) == 0 ? beside : "psql", "-qXwAt", "-v",
               "ON_ERROR_STOP=1"};
  psql.environment =
      ForOwnSession(ServerEnvironment(server.home.owner),
                    {server.run_dir.socket_dir, server.port, server.superuser, database},
                    server.home.programs.version);
  psql.run_as = &server.home.owner;
  psql.stdin_fd = input.get();
  return Capture(std::move(psql));
}

Result<std::string> RunPsql(const TcpServer& server, const std::string& script) {
  Captured captured;
  for (const char* database : kDatabases) {
    VELAFS_ASSIGN(captured, RunPsqlIn(server, database, script));
    if (captured.exit_status == 0) return std::move(captured.out);
    if (captured.exit_status != kNoConnection) break;
  }
  return Failed(
      "cannot set a password for role \"" + server.role + "\" of branch \"" + server.branch + "\"",
      QuoteLastLines("psql says", captured.err));
}

Status CheckAnswer(const TcpServer& server, const std::string& answer) {
  const std::string role = "role \"" + server.role + "\" of branch \"" + server.branch + "\"";
  if (answer == "admitted\n") return {};
  if (answer == "no login\n") {
    return Refused(role + " may not log in", "name another role with --user");
  }
  if (answer == "expired\n") {
    return Refused("the password of " + role + " has expired: its VALID UNTIL is over",
                   "name another role with --user");
  }
  return NotFound("there is no " + role, "name an existing role with --user");
}

}  // namespace

std::optional<TcpLogin> ParseTcpLogin(std::string_view text) {
  const json document = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return std::nullopt;
  const auto text_of = [&document](const char* key) {
    const auto found = document.find(key);
    return found != document.end() && found->is_string() ? found->get<std::string>() : "";
  };
  TcpLogin login;
  login.password = text_of("password");
  login.role = text_of("role");
  if (login.password.empty() || login.role.empty()) return std::nullopt;
  return login;
}

std::string FormatTcpLogin(const TcpLogin& login) {
  const json document = {{"password", login.password}, {"role", login.role}};
  return document.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

std::optional<TcpLogin> ReadTcpLogin(const RunDir& run_dir) {
  const Result<std::string> text = ReadForeignFile(FileIn(run_dir), kMostLoginFileBytes);
  return text.ok() ? ParseTcpLogin(*text) : std::nullopt;
}

Status ClearTcpLogin(const RunDir& run_dir) {
  const std::string path = FileIn(run_dir);
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return SystemError(errno, "cannot remove \"" + path + "\"");
}

Status ForgetTcpLogin(const RunDir& run_dir, const std::optional<TcpLogin>& login) {
  return login && ReadTcpLogin(run_dir) == login ? ClearTcpLogin(run_dir) : Status();
}

std::string NewPassword() { return ToHex(RandomBytes(kPasswordBytes)); }

std::string NewVerifier(const std::string& password) {
  return ScramVerifier(password, kSaltMark + RandomBytes(kSaltBytes));
}

Result<std::string> AdmitOverTcp(const TcpServer& server) {
  const std::string password = NewPassword();
  VELAFS_ASSIGN(const std::string answer,
                RunPsql(server, ScriptFor(server.role, NewVerifier(password))));
  VELAFS_TRY(CheckAnswer(server, answer));
  VELAFS_TRY(WriteTextFile(FileIn(server.run_dir), FormatTcpLogin({password, server.role})));
  return password;
}

}  // namespace velafs::pgctl
