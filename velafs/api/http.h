// HTTP/1.1 as far as the API speaks it: requests and answers as bytes, without a socket.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace velafs::api {

// A parsed request.
struct Request {
  int refusal = 0;   // the HTTP status to refuse it with; 0: it calls a verb
  std::string verb;  // of POST /v1/VERB
  std::string body;
};

// Parses one request piece by piece, and drops any bytes after it. Externally synchronised.
class RequestParser {
 public:
  RequestParser(size_t header_limit_bytes, size_t body_limit_bytes);
  RequestParser(RequestParser&&) noexcept;
  ~RequestParser();

  void Put(std::string_view bytes);
  bool has_header() const;
  // True if the request is complete or its header is refused. A body that is too large is read to
  // its end first.
  bool is_over() const;
  // The most memory that it uses now.
  size_t held_bytes() const;
  // Moves the request out; an incomplete one comes as a refusal.
  Request TakeRequest();

 private:
  class Header;

  void PutHeader(std::string_view bytes);
  void PutBody(std::string_view bytes);
  int RefusalOfHeader() const;

  const size_t header_limit_bytes_;
  const size_t body_limit_bytes_;
  std::unique_ptr<Header> header_;
  std::string unparsed_;  // the end of the header that has come
  size_t header_bytes_ = 0;
  bool has_header_ = false;
  size_t body_left_bytes_ = 0;
  Request request_;
};

// Parses one answer piece by piece. Externally synchronised.
class AnswerParser {
 public:
  using OnBody = std::function<void(std::string_view piece)>;

  explicit AnswerParser(OnBody on_body);
  ~AnswerParser();

  // Passes on the part of the body that is in `bytes`.
  void Put(std::string_view bytes);
  // True if the answer is complete, or is not HTTP.
  bool is_over() const;

 private:
  class Message;

  const std::unique_ptr<Message> message_;
  std::string unparsed_;
  bool is_broken_ = false;
};

std::string RequestText(const std::string& verb, const std::string& body);
// A complete answer.
std::string AnswerText(int http_status, const std::string& body);
// Header, one chunk and end of an answer whose body comes in chunks. A chunk is never empty.
std::string ChunkedAnswerText();
std::string ChunkText(std::string_view bytes);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace velafs::api
