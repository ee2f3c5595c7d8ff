#include "pgctl-wrapper/config/generated_config.h"

#include <doctest/doctest.h>

using namespace velafs::pgctl;

namespace {

constexpr char kControlData[] =
    "pg_control version number:            1300\n"
    "wal_level setting:                    logical\n"
    "wal_log_hints setting:                off\n"
    "max_connections setting:              500\n"
    "max_worker_processes setting:         16\n"
    "max_wal_senders setting:              20\n"
    "max_prepared_xacts setting:           7\n"
    "max_locks_per_xact setting:           128\n"
    "track_commit_timestamp setting:       on\n"
    "Maximum data alignment:               8\n";

bool HasLine(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("a generated configuration keeps what pg_control records") {
  const std::string config = GeneratedServerConfig(kControlData);
  CHECK(HasLine(config, "wal_level = logical"));
  CHECK(HasLine(config, "max_connections = 500"));
  CHECK(HasLine(config, "max_worker_processes = 16"));
  CHECK(HasLine(config, "max_wal_senders = 20"));
  CHECK(HasLine(config, "max_prepared_transactions = 7"));
  CHECK(HasLine(config, "max_locks_per_transaction = 128"));
  CHECK(HasLine(config, "track_commit_timestamp = on"));
}

TEST_CASE("a generated configuration has no line for what pg_controldata does not say") {
  CHECK(GeneratedServerConfig("").find('=') == std::string::npos);
}

TEST_CASE("generated access rules trust the socket and ask for a password over TCP") {
  const std::string rules = GeneratedHba();
  CHECK(HasLine(rules, "local   all          all                 trust"));
  CHECK(HasLine(rules, "host    all          all   127.0.0.1/32  scram-sha-256"));
  CHECK(HasLine(rules, "host    all          all   ::1/128       scram-sha-256"));
}
