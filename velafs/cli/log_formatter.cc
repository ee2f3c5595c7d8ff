#include "velafs/cli/log_formatter.h"

#include <spdlog/pattern_formatter.h>

#include <string_view>

#include "velafs/base/text.h"

namespace velafs::cli {
namespace {

constexpr char kPrintableFlag = '*';

class PrintableMessage : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& line) override {
    const std::string text =
        Printable(std::string_view(message.payload.data(), message.payload.size()));
    line.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<PrintableMessage>();
  }
};

}  // namespace

std::unique_ptr<spdlog::formatter> LogFormatter(const std::string& prefix) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  formatter->add_flag<PrintableMessage>(kPrintableFlag).set_pattern(prefix + "%" + kPrintableFlag);
  return formatter;
}

}  // namespace velafs::cli
