// The API's bare protocol, so that the server is not tested by its own twin.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "velafs/os/unique_fd.h"

namespace velafs::test {

class RawClient {
 public:
  enum Patience { kDoesNotWait, kWaits };
  // Unless it `waits`, there must be room in the server's queue of callers.
  explicit RawClient(const std::string& socket_path, Patience patience = kDoesNotWait)
      : fd_(socket(AF_UNIX, SOCK_STREAM | (patience == kWaits ? 0 : SOCK_NONBLOCK), 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    REQUIRE(socket_path.size() < sizeof address.sun_path);
    socket_path.copy(address.sun_path, socket_path.size());
    REQUIRE(connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(fcntl(fd_.get(), F_SETFL, 0) == 0);
  }

  void Send(const std::string& text) {
    size_t sent = 0;
    while (sent < text.size()) {
      const ssize_t count = send(fd_.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      REQUIRE(count > 0);
      sent += static_cast<size_t>(count);
    }
  }
  // As much as the server takes before it closes the connection.
  void SendWhatIsTaken(std::string_view text) {
    while (!text.empty()) {
      const ssize_t count = send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (count <= 0) return;
      text.remove_prefix(static_cast<size_t>(count));
    }
  }
  void Post(const std::string& target, const std::string& body, const std::string& headers = "") {
    Send("POST " + target + " HTTP/1.1\r\nHost: velafs\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  // More of the answer; false at its end.
  bool Receive() {
    char buffer[4096];
    const ssize_t count = recv(fd_.get(), buffer, sizeof buffer, 0);
    if (count <= 0) return false;
    received_.append(buffer, static_cast<size_t>(count));
    return true;
  }
  void ReceiveUntil(const std::string& text) {
    while (received_.find(text) == std::string::npos) REQUIRE(Receive());
  }
  const std::string& received() const { return received_; }
  void ShutDownSending() { shutdown(fd_.get(), SHUT_WR); }
  void Close() { fd_.Reset(); }

  int HttpStatus() {
    while (Receive()) {
    }
    REQUIRE(received_.starts_with("HTTP/1.1 "));
    return std::stoi(received_.substr(9, 3));
  }
  // The JSON lines of the answer, chunked or not.
  std::vector<nlohmann::json> Lines() {
    while (Receive()) {
    }
    std::vector<nlohmann::json> lines;
    std::istringstream text(received_);
    for (std::string line; std::getline(text, line);) {
      if (line.starts_with('{')) lines.push_back(nlohmann::json::parse(line));
    }
    return lines;
  }

 private:
  os::UniqueFd fd_;
  std::string received_;
};

}  // namespace velafs::test
