#include "pgctl-wrapper/connect/clients.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "pgctl-wrapper/process/text_file.h"

namespace velafs::pgctl {
namespace {

constexpr std::string_view kUnixConnected = "03";
constexpr std::string_view kTcpEstablished = "01";

// Takes the next word off `line`.
std::string_view TakeWord(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

// Takes the next line off `text`, without its end.
std::string_view TakeLine(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  return line;
}

// "0100007F:1538", an address and a port in hexadecimal.
std::optional<uint16_t> PortOf(std::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  address.remove_prefix(colon + 1);
  uint16_t port = 0;
  const char* end = address.data() + address.size();
  const auto parsed = std::from_chars(address.data(), end, port, 16);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return port;
}

std::string TextOf(const std::string& path) {
  Result<std::string> text = ReadTextFile(path);
  return text.ok() ? *std::move(text) : "";  // a kernel without that family
}

// As far as we may know.
bool IsInAnotherNetwork(const std::string& process) {
  struct stat ours {};
  struct stat theirs {};
  return stat("/proc/self/ns/net", &ours) == 0 &&
         stat((process + "/ns/net").c_str(), &theirs) == 0 &&
         (ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino);
}

}  // namespace

// Num RefCount Protocol Flags Type St Inode Path: an accepted socket has its listener's path.
size_t CountUnixClients(std::string_view table, std::string_view path) {
  size_t count = 0;
  while (!table.empty()) {
    std::string_view line = TakeLine(table);
    for (int i = 0; i < 5; ++i) TakeWord(line);
    const std::string_view state = TakeWord(line);
    TakeWord(line);
    if (!line.empty()) line.remove_prefix(1);
    if (state == kUnixConnected && line == path) ++count;
  }
  return count;
}

// sl local_address rem_address st ...: the server's end of a connection has its port as the local
// one.
size_t CountTcpClients(std::string_view table, uint16_t port) {
  size_t count = 0;
  while (!table.empty()) {
    std::string_view line = TakeLine(table);
    TakeWord(line);
    const std::optional<uint16_t> local = PortOf(TakeWord(line));
    TakeWord(line);
    if (local == port && TakeWord(line) == kTcpEstablished) ++count;
  }
  return count;
}

// `net`: a network namespace's directory under /proc.
static size_t CountIn(const std::string& net, const ServerAddress& address) {
  const auto& [socket_dir, port] = address;
  const std::string path = socket_dir + "/.s.PGSQL." + std::to_string(port);
  return CountUnixClients(TextOf(net + "/unix"), path) +
         CountTcpClients(TextOf(net + "/tcp"), port) + CountTcpClients(TextOf(net + "/tcp6"), port);
}

size_t CountClients(pid_t server, const ServerAddress& address) {
  const std::string process = "/proc/" + std::to_string(server);
  // The server's end of a Unix connection is in the namespace of the client, who may be in either.
  size_t count = CountIn("/proc/self/net", address);
  if (IsInAnotherNetwork(process)) count += CountIn(process + "/net", address);
  return count;
}

}  // namespace velafs::pgctl
