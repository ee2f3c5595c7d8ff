#include "velafs/api/http.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace velafs::api {
namespace {

constexpr size_t kHeaderLimit = 300;
constexpr size_t kBodyLimit = 50;

// What a request becomes that comes in pieces of that size; -1 as refusal when more is waited for.
Request Parse(const std::string& text, size_t piece_bytes) {
  RequestParser parser(kHeaderLimit, kBodyLimit);
  for (size_t at = 0; at < text.size(); at += piece_bytes) {
    parser.Put(std::string_view(text).substr(at, piece_bytes));
    CHECK(parser.held_bytes() <= kHeaderLimit + kBodyLimit);
  }
  return parser.is_over() ? parser.TakeRequest() : Request{.refusal = -1, .verb = {}, .body = {}};
}

// As above, whatever the size of the pieces.
Request Parse(const std::string& text) {
  Request whole = Parse(text, text.size());
  for (const size_t piece_bytes : {1U, 2U, 3U, 7U, 40U}) {
    INFO("pieces of ", piece_bytes, " bytes: ", text);
    const Request same = Parse(text, piece_bytes);
    CHECK(same.refusal == whole.refusal);
    CHECK(same.verb == whole.verb);
    CHECK(same.body == whole.body);
  }
  return whole;
}

std::string Post(const std::string& fields, const std::string& body = "") {
  return "POST /v1/show HTTP/1.1\r\n" + fields + "\r\n" + body;
}

TEST_CASE("a request is its verb and its body, and nothing behind that") {
  const Request request = Parse(Post("Host: x\r\ncontent-LENGTH:  4\r\nA: b\r\n", "bodyPOST /v1"));
  CHECK(request.refusal == 0);
  CHECK(request.verb == "show");
  CHECK(request.body == "body");
  CHECK(Parse(Post("")).verb == "show");
  CHECK(Parse(Post("", "not counted")).body.empty());
}

TEST_CASE("a request that is not whole is waited for, and refused if it must do") {
  for (const std::string& text :
       {std::string("POST /v"), Post("Content-Length: 4\r\n", "bod"), std::string("P")}) {
    CHECK(Parse(text).refusal == -1);
    RequestParser parser(kHeaderLimit, kBodyLimit);
    parser.Put(text);
    CHECK(parser.TakeRequest().refusal == 400);
  }
}

TEST_CASE("what is no call of a verb is refused with the status that says why") {
  const auto refusal = [](const std::string& text) { return Parse(text).refusal; };
  CHECK(refusal("GET /v1/show HTTP/1.1\r\n\r\n") == 404);
  for (const char* const target :
       {"/", "/v1/", "/v2/show", "/v1/Show", "/v1/show/x", "/v1/show?x", "/v1/%73how", "*"}) {
    CHECK(refusal("POST " + std::string(target) + " HTTP/1.1\r\n\r\n") == 404);
  }
  CHECK(refusal("POST /v1/" + std::string(124, 'a') + " HTTP/1.1\r\n\r\n") == 0);
  CHECK(refusal("POST /v1/" + std::string(125, 'a') + " HTTP/1.1\r\n\r\n") == 404);
  CHECK(refusal(Post("Transfer-Encoding: chunked\r\n", "0\r\n\r\n")) == 411);
  CHECK(refusal(Post("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", "{}")) == 411);
  CHECK(refusal(Post("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "{}")) == 411);
  CHECK(refusal(Post("Content-Encoding: gzip\r\nContent-Length: 2\r\n", "{}")) == 415);
  for (const char* const length : {"-1", "x", "", "18446744073709551616", "1, 2", "0x1"}) {
    CHECK(refusal(Post("Content-Length: " + std::string(length) + "\r\n")) == 400);
  }
  CHECK(refusal(Post("Content-Length: 2\r\nContent-Length: 3\r\n", "{} ")) == 400);
  CHECK(refusal("POST /v1/show HTTP/2.0\r\n\r\n") == 400);
  CHECK(refusal(Post("A b: c\r\n")) == 400);
  CHECK(refusal(Post("A: " + std::string(1, '\0') + "\r\n")) == 400);
}

TEST_CASE("a body at its limit is taken, a larger one refused when all of it has come") {
  CHECK(Parse(Post("Content-Length: 50\r\n", std::string(50, 'x'))).body.size() == 50);
  const std::string too_large = Post("Content-Length: 51\r\n", std::string(51, 'x'));
  CHECK(Parse(too_large).refusal == 413);
  CHECK(Parse(too_large.substr(0, too_large.size() - 1)).refusal == -1);
}

TEST_CASE("a header is limited in all, also when each of its lines is short") {
  std::string lines;
  while (Post(lines).size() <= kHeaderLimit - 6) lines += "A: b\r\n";
  CHECK(Parse(Post(lines)).refusal == 0);
  for (int i = 0; i < 10; ++i) lines += "A: b\r\n";
  CHECK(Parse(Post(lines)).refusal == 431);
  CHECK(Parse(Post("A: " + std::string(kHeaderLimit, 'b') + "\r\n")).refusal == 431);
}

// The body of an answer that comes in pieces of that size.
std::string BodyOf(const std::string& text, size_t piece_bytes) {
  std::string body;
  AnswerParser parser([&body](std::string_view piece) { body.append(piece); });
  for (size_t at = 0; at < text.size(); at += piece_bytes) {
    parser.Put(std::string_view(text).substr(at, piece_bytes));
  }
  CHECK(parser.is_over());
  return body;
}

TEST_CASE("an answer arrives as it was written, however it comes") {
  const std::string large(100'000, 'x');
  const std::string chunked = ChunkedAnswerText() + ChunkText("one\n") + ChunkText(large) +
                              ChunkText("two\n") + std::string(kLastChunk);
  for (const size_t piece_bytes : {size_t{1}, size_t{5}, size_t{4096}, chunked.size()}) {
    CHECK(BodyOf(chunked, piece_bytes) == "one\n" + large + "two\n");
    CHECK(BodyOf(AnswerText(404, "why\n"), piece_bytes) == "why\n");
  }
  CHECK(BodyOf("SSH-2.0\r\n", 100).empty());
}

TEST_CASE("a chunk is passed on before the answer is whole") {
  std::string body;
  AnswerParser parser([&body](std::string_view piece) { body.append(piece); });
  parser.Put(ChunkedAnswerText() + ChunkText("one\n"));
  CHECK(body == "one\n");
  CHECK_FALSE(parser.is_over());
}

TEST_CASE("a request arrives as it was written") {
  const Request request = Parse(RequestText("bookmark-list", "{\"branch\":\"main\"}"));
  CHECK(request.refusal == 0);
  CHECK(request.verb == "bookmark-list");
  CHECK(request.body == "{\"branch\":\"main\"}");
}

}  // namespace
}  // namespace velafs::api
