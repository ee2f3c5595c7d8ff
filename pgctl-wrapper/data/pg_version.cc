#include "pgctl-wrapper/data/pg_version.h"

#include <charconv>

#include "pgctl-wrapper/process/text_file.h"

namespace velafs::pgctl {
namespace {

constexpr int kOldestVersion = 10;
constexpr uint64_t kMostVersionBytes = 64;

std::optional<int> LeadingNumber(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number <= 0) return std::nullopt;
  return number;
}

}  // namespace

Result<int> ParsePgVersion(std::string_view content) {
  const std::string_view line = content.substr(0, content.find('\n'));
  const std::optional<int> version = LeadingNumber(line);
  if (!version) return Failed("\"" + std::string(line) + "\" is not a PostgreSQL version");
  if (*version < kOldestVersion) {
    return Failed("PostgreSQL " + std::string(line) + " is too old",
                  "velapg runs PostgreSQL 10 and newer");
  }
  return *version;
}

std::optional<int> ParseServerBanner(std::string_view banner) {
  constexpr std::string_view kProduct = "(PostgreSQL) ";
  const size_t product = banner.find(kProduct);
  if (product == std::string_view::npos) return std::nullopt;
  return LeadingNumber(banner.substr(product + kProduct.size()));
}

Result<int> ReadPgVersion(const std::string& data_dir) {
  VELAFS_ASSIGN(const std::string content,
                ReadForeignFile(data_dir + "/PG_VERSION", kMostVersionBytes));
  return ParsePgVersion(content);
}

}  // namespace velafs::pgctl
