#include "pgctl-wrapper/server/no_server.h"

#include <algorithm>

namespace velafs::pgctl {
namespace {

using Words = std::vector<std::string>;

// libpq names the directory that it does not find; drivers without sockets name the host.
constexpr char kSocketUrl[] = "postgresql:///?host=/nonexistent/no-server";
constexpr char kTcpUrl[] = "postgresql://no-server.invalid/";
constexpr char kJdbcUrl[] = "jdbc:postgresql://no-server.invalid/";
// They end with a failure, so that what follows && is not run.
constexpr char kExports[] =
    "unset PGHOSTADDR PGSERVICE\n"
    "export PGHOST=/nonexistent/no-server\n"
    "export DATABASE_URL='postgresql:///?host=/nonexistent/no-server'\n"
    "false\n";

bool Has(const Words& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// The first word that is neither an option of all commands nor such an option's value.
std::string CommandIn(const Words& words) {
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--store" || words[i] == "--config") {
      ++i;
    } else if (!words[i].starts_with("-")) {
      return words[i];
    }
  }
  return "";
}

}  // namespace

std::string TextWithoutServer(const Words& words) {
  const std::string command = CommandIn(words);
  if (Has(words, "--json")) return "";
  if (command == "env" || (command == "take" && Has(words, "--env"))) return kExports;
  if (command != "url" && !(command == "take" && Has(words, "--url"))) return "";
  if (Has(words, "jdbc") || Has(words, "--format=jdbc")) return kJdbcUrl + std::string("\n");
  return std::string(Has(words, "--tcp") ? kTcpUrl : kSocketUrl) + "\n";
}

}  // namespace velafs::pgctl
