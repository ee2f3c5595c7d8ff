#include "velafs/api/http.h"

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/verb.hpp>
#include <boost/optional.hpp>
#include <charconv>
#include <cstdint>
#include <limits>
#include <utility>

namespace velafs::api {
namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;
using boost::beast::string_view;

// The library knows boost::none for this, but up to Boost 1.74 takes it for less than any length.
constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();
constexpr size_t kMaxTargetBytes = 128;
constexpr std::string_view kVerbPath = "/v1/";
constexpr std::string_view kVerbLetters = "abcdefghijklmnopqrstuvwxyz-";

// The library's parser with callbacks that ignore everything; derived classes override some.
// Its own classes for messages would keep every field, at many times the size it was sent with.
template <bool is_request>
class Parser : public http::basic_parser<is_request> {
 private:
  void on_request_impl(http::verb, string_view, string_view, int, error_code&) override {}
  void on_response_impl(int, string_view, int, error_code&) override {}
  void on_field_impl(http::field, string_view, string_view, error_code&) override {}
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<uint64_t>&, error_code&) override {}
  size_t on_body_impl(string_view piece, error_code&) override { return piece.size(); }
  void on_chunk_header_impl(uint64_t, string_view, error_code&) override {}
  size_t on_chunk_body_impl(uint64_t, string_view piece, error_code&) override {
    return piece.size();
  }
  void on_finish_impl(error_code&) override {}
};

// Parses the beginning of `unparsed` and removes it from there.
template <bool is_request>
error_code PutInto(http::basic_parser<is_request>& parser, std::string* unparsed) {
  error_code error;
  const size_t parsed = parser.put(boost::asio::buffer(*unparsed), error);
  unparsed->erase(0, parsed);
  return error;
}

}  // namespace

// ---- Requests -----------------------------------------------------------------------------------

class RequestParser::Header : public Parser<true> {
 public:
  explicit Header(size_t limit_bytes) {
    header_limit(static_cast<uint32_t>(limit_bytes));
    body_limit(kNoLimit);  // RequestParser has its own
  }

  bool is_post = false;
  std::string target;
  bool has_transfer_encoding = false;
  bool has_content_encoding = false;

 private:
  void on_request_impl(http::verb verb, string_view, string_view to, int, error_code&) override {
    is_post = verb == http::verb::post;
    target.assign(to.data(), std::min(to.size(), kMaxTargetBytes + 1));
  }
  void on_field_impl(http::field field, string_view, string_view, error_code&) override {
    has_transfer_encoding = has_transfer_encoding || field == http::field::transfer_encoding;
    has_content_encoding = has_content_encoding || field == http::field::content_encoding;
  }
};

RequestParser::RequestParser(size_t header_limit_bytes, size_t body_limit_bytes)
    : header_limit_bytes_(header_limit_bytes),
      body_limit_bytes_(body_limit_bytes),
      header_(std::make_unique<Header>(header_limit_bytes)) {}
RequestParser::RequestParser(RequestParser&&) noexcept = default;
RequestParser::~RequestParser() = default;

bool RequestParser::has_header() const { return has_header_; }

bool RequestParser::is_over() const {
  return has_header_ ? body_left_bytes_ == 0 : request_.refusal != 0;
}

size_t RequestParser::held_bytes() const { return header_bytes_ + request_.body.size(); }

void RequestParser::Put(std::string_view bytes) {
  if (is_over()) return;
  has_header_ ? PutBody(bytes) : PutHeader(bytes);
}

void RequestParser::PutHeader(std::string_view bytes) {
  // The library limits each line that it gets, but not their number.
  const std::string_view taken = bytes.substr(0, header_limit_bytes_ - header_bytes_);
  bytes.remove_prefix(taken.size());
  unparsed_.append(taken);
  header_bytes_ += taken.size();
  const error_code error = PutInto(*header_, &unparsed_);
  const bool is_too_large =
      error == http::error::header_limit ||
      (error == http::error::need_more && header_bytes_ >= header_limit_bytes_);
  if (is_too_large) {
    request_.refusal = 431;
  } else if (error && error != http::error::need_more) {
    // Transfer-Encoding beside Content-Length is an error, too.
    const bool has_coding =
        header_->has_transfer_encoding || error == http::error::bad_transfer_encoding;
    request_.refusal = has_coding ? 411 : 400;
  }
  if (error || !header_->is_header_done()) return;

  has_header_ = true;
  header_bytes_ -= unparsed_.size();
  request_.refusal = RefusalOfHeader();
  const bool has_length = header_->content_length().has_value();
  body_left_bytes_ = has_length ? *header_->content_length() : 0;
  if (request_.refusal == 0) request_.verb = header_->target.substr(kVerbPath.size());
  PutBody(std::exchange(unparsed_, {}));
  PutBody(bytes);
}

int RequestParser::RefusalOfHeader() const {
  // A request's end is told by its length, before anybody looks at its coding.
  if (header_->has_transfer_encoding) return 411;
  // A small body could become a very large one.
  if (header_->has_content_encoding) return 415;
  const std::string_view target = header_->target;
  const bool is_verb = header_->is_post && target.starts_with(kVerbPath) &&
                       target.size() > kVerbPath.size() && target.size() <= kMaxTargetBytes &&
                       target.find_first_not_of(kVerbLetters, kVerbPath.size()) == target.npos;
  if (!is_verb) return 404;
  const auto length = header_->content_length();
  return length.has_value() && *length > body_limit_bytes_ ? 413 : 0;
}

void RequestParser::PutBody(std::string_view bytes) {
  const std::string_view taken = bytes.substr(0, body_left_bytes_);
  body_left_bytes_ -= taken.size();
  if (request_.refusal == 0) request_.body.append(taken);
}

Request RequestParser::TakeRequest() {
  if (!is_over() && request_.refusal == 0) request_.refusal = 400;
  return std::move(request_);
}

// ---- Answers ------------------------------------------------------------------------------------

class AnswerParser::Message : public Parser<false> {
 public:
  explicit Message(OnBody on_body) : on_body_(std::move(on_body)) {
    body_limit(kNoLimit);
    eager(true);
  }

 private:
  size_t on_body_impl(string_view piece, error_code&) override { return Pass(piece); }
  size_t on_chunk_body_impl(uint64_t, string_view piece, error_code&) override {
    return Pass(piece);
  }
  size_t Pass(string_view piece) {
    on_body_({piece.data(), piece.size()});
    return piece.size();
  }

  const OnBody on_body_;
};

AnswerParser::AnswerParser(OnBody on_body)
    : message_(std::make_unique<Message>(std::move(on_body))) {}
AnswerParser::~AnswerParser() = default;

void AnswerParser::Put(std::string_view bytes) {
  if (is_over()) return;
  unparsed_.append(bytes);
  const error_code error = PutInto(*message_, &unparsed_);
  is_broken_ = error && error != http::error::need_more;
}

bool AnswerParser::is_over() const { return is_broken_ || message_->is_done(); }

// ---- As text ------------------------------------------------------------------------------------

namespace {

std::string StatusLine(int http_status) {
  const string_view reason =
      http::obsolete_reason(http::int_to_status(static_cast<unsigned>(http_status)));
  return "HTTP/1.1 " + std::to_string(http_status) + " " +
         std::string(reason.data(), reason.size()) +
         "\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n";
}

std::string LengthLine(const std::string& body) {
  return "Content-Length: " + std::to_string(body.size()) + "\r\n";
}

}  // namespace

std::string RequestText(const std::string& verb, const std::string& body) {
  return "POST /v1/" + verb + " HTTP/1.1\r\nHost: velafs\r\nContent-Type: application/json\r\n" +
         LengthLine(body) + "\r\n" + body;
}

std::string AnswerText(int http_status, const std::string& body) {
  return StatusLine(http_status) + LengthLine(body) + "\r\n" + body;
}

std::string ChunkedAnswerText() { return StatusLine(200) + "Transfer-Encoding: chunked\r\n\r\n"; }

std::string ChunkText(std::string_view bytes) {
  std::array<char, 16> digits;
  char* const end =
      std::to_chars(digits.data(), digits.data() + digits.size(), bytes.size(), 16).ptr;
  std::string chunk(digits.data(), end);
  chunk.reserve(chunk.size() + bytes.size() + 4);
  return chunk.append("\r\n").append(bytes).append("\r\n");
}

}  // namespace velafs::api
