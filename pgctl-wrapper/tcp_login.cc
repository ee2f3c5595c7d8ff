#include "pgctl-wrapper/tcp_login.h"

#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "pgctl-wrapper/connection.h"
#include "pgctl-wrapper/process.h"
#include "pgctl-wrapper/scram.h"
#include "pgctl-wrapper/text_file.h"
#include "velafs/base/check.h"

namespace velafs::pgctl {
namespace {

using nlohmann::json;

constexpr size_t kPasswordBytes = 20;  // as twice as many hexadecimal digits: no URL encodes them
constexpr size_t kSaltBytes = 16;
constexpr uint64_t kMostFileBytes = 64 * 1024;
constexpr char kDatabase[] = "template1";  // each cluster has it

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

// Prints what there is to say of the role, and gives it the verifier if it has another. Neither the
// server's log nor psql's arguments get to see that.
std::string ScriptFor(const std::string& role, const std::string& verifier) {
  const std::string name = SqlQuote(role);
  const std::string wanted = SqlQuote(verifier);
  return "SET log_statement = 'none';\n"
         "SET log_min_duration_statement = -1;\n"
         "SET log_min_error_statement = 'panic';\n"
         "SET default_transaction_read_only = off;\n"
         "SET standard_conforming_strings = on;\n"
         "SELECT CASE WHEN NOT rolcanlogin THEN 'no login' WHEN rolvaliduntil < now() THEN "
         "'expired' WHEN rolpassword = " +
         wanted +
         " THEN 'same' ELSE 'other' END\n"
         "FROM pg_catalog.pg_authid WHERE rolname = " +
         name +
         ";\n"
         "SELECT pg_catalog.format('ALTER ROLE %I PASSWORD %L', rolname, " +
         wanted +
         ")\n"
         "FROM pg_catalog.pg_authid WHERE rolname = " +
         name + " AND rolcanlogin AND rolpassword IS DISTINCT FROM " + wanted + " \\gexec\n";
}

Result<UniqueFd> MakeInput(const std::string& text) {
  UniqueFd file(memfd_create("input", MFD_CLOEXEC));
  if (file && pwrite(file.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()))
    return file;
  return SystemError(errno, "cannot make a memory file");
}

Result<std::string> RunPsql(const TcpServer& server, const std::string& script) {
  VELAFS_ASSIGN(const UniqueFd input, MakeInput(script));
  Command psql;
  const std::string beside = server.home.programs.Path("psql");
  psql.argv = {access(beside.c_str(), X_OK) == 0 ? beside : "psql", "-qXwAt", "-v",
               "ON_ERROR_STOP=1"};
  psql.environment =
      WithConnection(ServerEnvironment(server.home.owner),
                     {server.run_dir.socket_dir, server.port, server.superuser, kDatabase});
  psql.run_as = &server.home.owner;
  psql.stdin_fd = input.get();
  VELAFS_ASSIGN(Captured captured, Capture(std::move(psql)));
  if (captured.exit_status == 0) return std::move(captured.out);
  return Failed(
      "cannot set a password for role \"" + server.role + "\" of branch \"" + server.branch + "\"",
      QuoteLastLines("psql says", captured.err));
}

// The branch's login; of another life of the branch only its password is left.
TcpLogin LoginOf(const TcpServer& server) {
  TcpLogin login = ReadTcpLogin(server.run_dir).value_or(TcpLogin());
  if (login.password.empty()) {
    login.password = ToHex(RandomBytes(kPasswordBytes));
    login.verifier = ScramVerifier(login.password, RandomBytes(kSaltBytes));
  }
  if (login.instance != server.instance) login.roles.clear();
  login.instance = server.instance;
  return login;
}

Status CheckAnswer(const TcpServer& server, const std::string& answer) {
  const std::string role = "role \"" + server.role + "\" of branch \"" + server.branch + "\"";
  if (answer == "same\n" || answer == "other\n") return {};
  if (answer == "no login\n") {
    return Refused(role + " may not log in", "name another role with --user");
  }
  if (answer == "expired\n") {
    return Refused("the password of " + role + " has expired: its VALID UNTIL is over",
                   "name another role with --user");
  }
  return NotFound("there is no " + role, "name one that there is with --user");
}

}  // namespace

bool TcpLogin::IsOf(std::string_view role) const {
  return std::find(roles.begin(), roles.end(), role) != roles.end();
}

std::optional<TcpLogin> ParseTcpLogin(std::string_view text) {
  const json document = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return std::nullopt;
  const auto text_of = [&document](const char* key) {
    const auto found = document.find(key);
    return found != document.end() && found->is_string() ? found->get<std::string>() : "";
  };
  TcpLogin login;
  login.password = text_of("password");
  login.verifier = text_of("verifier");
  if (login.password.empty() || login.verifier.empty()) return std::nullopt;
  if (const auto instance = document.find("instance");
      instance != document.end() && instance->is_number_unsigned()) {
    login.instance = instance->get<uint64_t>();
  }
  for (const json& role : document.value("roles", json::array())) {
    if (role.is_string()) login.roles.push_back(role.get<std::string>());
  }
  return login;
}

std::string FormatTcpLogin(const TcpLogin& login) {
  const json document = {{"password", login.password},
                         {"verifier", login.verifier},
                         {"instance", login.instance},
                         {"roles", login.roles}};
  return document.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

std::optional<TcpLogin> ReadTcpLogin(const RunDir& run_dir) {
  const Result<std::string> text = ReadForeignFile(FileIn(run_dir), kMostFileBytes);
  return text.ok() ? ParseTcpLogin(*text) : std::nullopt;
}

Result<Admitted> AdmitOverTcp(const TcpServer& server) {
  TcpLogin login = LoginOf(server);
  VELAFS_ASSIGN(const std::string answer, RunPsql(server, ScriptFor(server.role, login.verifier)));
  VELAFS_TRY(CheckAnswer(server, answer));
  if (!login.IsOf(server.role)) login.roles.push_back(server.role);
  VELAFS_TRY(WriteTextFile(FileIn(server.run_dir), FormatTcpLogin(login)));
  return Admitted{login.password, answer == "other\n"};
}

}  // namespace velafs::pgctl
