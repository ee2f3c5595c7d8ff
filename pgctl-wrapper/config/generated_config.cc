#include "pgctl-wrapper/config/generated_config.h"

#include <optional>

namespace velafs::pgctl {
namespace {

constexpr std::string_view kAccessHeader =
    "# Made by velapg at every start, in the place of the branch's own. velapg start --as-is uses\n"
    "# the branch's own.\n";

constexpr std::string_view kGeneratedConfigHeader =
    "# Made by velapg at every start, because the branch has no such file. To change settings, "
    "use\n"
    "# ALTER SYSTEM, or put a file of this name into the branch.\n";

constexpr char kHostRules[] =
    "host    all          all   127.0.0.1/32  scram-sha-256\n"
    "host    all          all   ::1/128       scram-sha-256\n";

struct RecordedSetting {
  std::string_view label;
  std::string_view setting;
};

constexpr RecordedSetting kRecordedSettings[] = {
    {"wal_level setting:", "wal_level"},
    {"max_connections setting:", "max_connections"},
    {"max_worker_processes setting:", "max_worker_processes"},
    {"max_wal_senders setting:", "max_wal_senders"},
    {"max_prepared_xacts setting:", "max_prepared_transactions"},
    {"max_locks_per_xact setting:", "max_locks_per_transaction"},
    {"track_commit_timestamp setting:", "track_commit_timestamp"},
};

// What follows `label` and blanks on its line.
std::optional<std::string_view> ValueAfter(std::string_view text, std::string_view label) {
  const size_t start = text.find(label);
  if (start == std::string_view::npos) return std::nullopt;
  text.remove_prefix(start + label.size());
  text = text.substr(0, text.find('\n'));
  const size_t value = text.find_first_not_of(' ');
  if (value == std::string_view::npos) return std::nullopt;
  return text.substr(value);
}

}  // namespace

std::string GeneratedServerConfig(std::string_view control_data) {
  std::string config(kGeneratedConfigHeader);
  for (const RecordedSetting& recorded : kRecordedSettings) {
    if (const auto value = ValueAfter(control_data, recorded.label)) {
      config += std::string(recorded.setting) + " = " + std::string(*value) + "\n";
    }
  }
  return config;
}

std::string GeneratedHba() {
  return std::string(kAccessHeader) +
         "# TYPE  DATABASE     USER  ADDRESS       METHOD\n"
         "local   all          all                 trust\n"
         "local   replication  all                 trust\n" +
         kHostRules;
}

std::string GeneratedIdent() { return std::string(kAccessHeader); }

}  // namespace velafs::pgctl
