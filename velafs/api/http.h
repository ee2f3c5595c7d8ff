// HTTP/1.1 as far as the API speaks it: requests and answers as bytes, without a socket.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace velafs::api {

// What is left of a request once it is parsed.
struct Request {
  int refusal = 0;   // the HTTP status to refuse it with; 0: it calls a verb
  std::string verb;  // of POST /v1/VERB
  std::string body;
};

// Parses one request as it comes; what comes behind it is dropped. Externally synchronised.
class RequestParser {
 public:
  RequestParser(size_t header_limit_bytes, size_t body_limit_bytes);
  RequestParser(RequestParser&&) noexcept;
  ~RequestParser();

  void Put(std::string_view bytes);
  bool has_header() const;
  // Once the request is whole. A body that is too large is over when all of it has come; a header
  // that is broken or too large, at once.
  bool is_over() const;
  // What it holds in memory, at most.
  size_t held_bytes() const;
  // The request. One that is not whole is refused.
  Request Take();

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

// Parses one answer as it comes. Externally synchronised.
class AnswerParser {
 public:
  using OnBody = std::function<void(std::string_view piece)>;

  explicit AnswerParser(OnBody on_body);
  ~AnswerParser();

  // Passes on what `bytes` hold of the body.
  void Put(std::string_view bytes);
  // True once the answer is whole, or is none.
  bool is_over() const;

 private:
  class Message;

  const std::unique_ptr<Message> message_;
  std::string unparsed_;
  bool is_broken_ = false;
};

std::string RequestText(const std::string& verb, const std::string& body);
// A whole answer.
std::string AnswerText(int http_status, const std::string& body);
// The beginning of an answer whose body comes in chunks, each of which is not empty, and its end.
std::string ChunkedAnswerText();
std::string ChunkText(std::string_view bytes);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace velafs::api
