#include "pgctl-wrapper/connection.h"

namespace velafs::pgctl {
namespace {

// libpq heeds these before the ones we set.
constexpr const char* kMisleadingVariables[] = {"PGHOSTADDR", "PGSERVICE"};

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

}  // namespace

std::string Url(const Connection& connection) {
  return "postgresql://" + PercentEncode(connection.user) + "@/" +
         PercentEncode(connection.dbname) + "?host=" + PercentEncode(connection.socket_dir, "/") +
         "&port=" + std::to_string(connection.port);
}

std::vector<std::pair<std::string, std::string>> ConnectionVariables(const Connection& connection) {
  return {{"PGHOST", connection.socket_dir},
          {"PGPORT", std::to_string(connection.port)},
          {"PGUSER", connection.user},
          {"PGDATABASE", connection.dbname},
          {"DATABASE_URL", Url(connection)}};
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
