#include "pgctl-wrapper/connect/connection.h"

#include "velafs/base/check.h"

namespace velafs::pgctl {
namespace {

// libpq heeds these before the ones we set.
constexpr const char* kMisleadingVariables[] = {"PGHOSTADDR", "PGSERVICE"};

constexpr char kTcpHost[] = "127.0.0.1";

bool IsAlnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Leaves alone what RFC 3986 calls unreserved, and the characters of `also_plain`.
std::string PercentEncode(std::string_view text, std::string_view also_plain = "") {
  constexpr char kDigits[] = "0123456789ABCDEF";
  const std::string plain = "-._~" + std::string(also_plain);
  std::string encoded;
  for (const char c : text) {
    if (IsAlnum(c) || plain.find(c) != std::string::npos) {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return encoded;
}

std::string ShellQuote(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string TcpAddress(const Connection& connection) {
  return kTcpHost + (":" + std::to_string(connection.port));
}

}  // namespace

std::string Url(const Connection& connection) {
  if (connection.IsTcp()) {
    return "postgresql://" + PercentEncode(connection.user) + ":" +
           PercentEncode(connection.password) + "@" + TcpAddress(connection) + "/" +
           PercentEncode(connection.dbname);
  }
  return "postgresql://" + PercentEncode(connection.user) + "@/" +
         PercentEncode(connection.dbname) + "?host=" + PercentEncode(connection.socket_dir, "/") +
         "&port=" + std::to_string(connection.port);
}

std::string JdbcUrl(const Connection& connection) {
  VELAFS_CHECK(connection.IsTcp());
  return "jdbc:postgresql://" + TcpAddress(connection) + "/" + PercentEncode(connection.dbname) +
         "?user=" + PercentEncode(connection.user) +
         "&password=" + PercentEncode(connection.password);
}

std::vector<std::pair<std::string, std::string>> ConnectionVariables(const Connection& connection) {
  std::vector<std::pair<std::string, std::string>> variables = {
      {"PGHOST", connection.IsTcp() ? kTcpHost : connection.socket_dir},
      {"PGPORT", std::to_string(connection.port)},
      {"PGUSER", connection.user},
      {"PGDATABASE", connection.dbname},
      {"DATABASE_URL", Url(connection)}};
  if (connection.IsTcp()) variables.emplace_back("PGPASSWORD", connection.password);
  return variables;
}

Environment WithConnection(Environment environment, const Connection& connection) {
  for (const char* name : kMisleadingVariables) environment.erase(name);
  for (const auto& [name, value] : ConnectionVariables(connection)) environment[name] = value;
  return environment;
}

std::string ShellExports(const Connection& connection) {
  std::string text = "unset";
  for (const char* name : kMisleadingVariables) text += std::string(" ") + name;
  text += "\n";
  for (const auto& [name, value] : ConnectionVariables(connection)) {
    text += "export " + name + "=" + ShellQuote(value) + "\n";
  }
  return text;
}

}  // namespace velafs::pgctl
