#include "pgctl-wrapper/config/overrides.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <set>

using namespace velafs;
using namespace velafs::pgctl;

namespace {

ServerFacts FactsOf(int version) {
  ServerFacts facts;
  facts.branch = "pr-1";
  facts.version = version;
  facts.places = {"/mnt/pr-1",
                  "/mnt/pr-1/postgresql.conf",
                  "/run/1/pg_hba.conf",
                  "/run/1/pg_ident.conf",
                  "/run/1",
                  "/run/1",
                  54321};
  return facts;
}

std::vector<Override> Plan(const ServerFacts& facts, const OverrideChoice& choice = {}) {
  Result<std::vector<Override>> plan = PlanOverrides(facts, choice);
  REQUIRE(plan.ok());
  return *std::move(plan);
}

PreloadLibrary Dropped(const std::string& spelling) {
  return {spelling, Fate::kMissing, {}, false};
}
PreloadLibrary Loaded(const std::string& spelling) { return {spelling, Fate::kLoaded, {}, false}; }

const LibraryRule kQuiet = {LibraryAction::kSetting, "timescaledb.max_background_workers", "0",
                            "would run jobs"};

std::optional<std::string> ValueOf(const std::vector<Override>& plan, const std::string& setting) {
  const auto found = std::find_if(plan.begin(), plan.end(),
                                  [&](const Override& item) { return item.setting == setting; });
  if (found == plan.end()) return std::nullopt;
  return found->value;
}

}  // namespace

TEST_CASE("a copy neither archives, nor follows, nor subscribes, nor listens to the network") {
  const auto plan = Plan(FactsOf(15));
  CHECK(ValueOf(plan, "archive_mode") == "off");
  CHECK(ValueOf(plan, "primary_conninfo") == "");
  CHECK(ValueOf(plan, "restore_command") == "");
  CHECK(ValueOf(plan, "primary_slot_name") == "");
  CHECK(ValueOf(plan, "max_logical_replication_workers") == "0");
  CHECK(ValueOf(plan, "synchronous_standby_names") == "");
  CHECK(ValueOf(plan, "listen_addresses") == "");
  CHECK(ValueOf(Plan(FactsOf(15), {.tcp = true}), "listen_addresses") == "127.0.0.1");
}

TEST_CASE("a server's files, sockets and port are its branch's own") {
  const auto plan = Plan(FactsOf(15));
  CHECK(ValueOf(plan, "data_directory") == "/mnt/pr-1");
  CHECK(ValueOf(plan, "config_file") == "/mnt/pr-1/postgresql.conf");
  CHECK(ValueOf(plan, "hba_file") == "/run/1/pg_hba.conf");
  CHECK(ValueOf(plan, "ident_file") == "/run/1/pg_ident.conf");
  CHECK(ValueOf(plan, "unix_socket_directories") == "/run/1");
  CHECK(ValueOf(plan, "port") == "54321");
  CHECK(ValueOf(plan, "external_pid_file") == "/run/1/external.pid");
  CHECK(ValueOf(plan, "logging_collector") == "off");
  CHECK(ValueOf(plan, "log_directory") == "/run/1");
  CHECK(ValueOf(plan, "cluster_name") == "pr-1");
}

TEST_CASE("whose rules of access hold is said") {
  const auto why = [](const ServerPlaces& places, const std::string& setting) {
    for (const Override& item : PlaceOverrides(places)) {
      if (item.setting == setting) return item.why;
    }
    return std::string();
  };
  ServerPlaces places = FactsOf(15).places;
  CHECK(why(places, "config_file") == "the branch's own");
  CHECK(why(places, "hba_file").starts_with("replaces the branch's own"));
  CHECK(why(places, "ident_file").starts_with("replaces the branch's own"));
  places.config_file = "/run/1/postgresql.conf";
  places.hba_file = "/mnt/pr-1/pg_hba.conf";
  CHECK(why(places, "config_file") == "generated: the branch has none");
  CHECK(why(places, "hba_file") == "the branch's own");
}

TEST_CASE("each version is told only what it knows") {
  CHECK(ValueOf(Plan(FactsOf(11)), "restore_command") == std::nullopt);
  CHECK(ValueOf(Plan(FactsOf(12)), "restore_command") == "");
  CHECK(ValueOf(Plan(FactsOf(13)), "recovery_init_sync_method") == std::nullopt);
  CHECK(ValueOf(Plan(FactsOf(14)), "recovery_init_sync_method") == "fsync");
  CHECK(ValueOf(Plan(FactsOf(14)), "stats_temp_directory") == "pg_stat_tmp");
  CHECK(ValueOf(Plan(FactsOf(15)), "stats_temp_directory") == std::nullopt);
}

TEST_CASE("no setting is overridden twice, and each says why") {
  ServerFacts facts = FactsOf(14);
  facts.own = {{"ssl", "on"},
               {"huge_pages", "on"},
               {"ssl_passphrase_command", "ask"},
               {"shared_buffers", "4194304"}};
  facts.preloads = {{"shared_preload_libraries",
                     {{"timescaledb", Fate::kQuieted, kQuiet, false}, Dropped("absent")}},
                    {"session_preload_libraries",
                     {{"timescaledb", Fate::kQuieted, kQuiet, false}, Dropped("absent")}}};
  facts.ssl_problem = "no key";
  facts.replication_origins = 20;
  std::set<std::string> seen;
  for (const Override& item : Plan(facts)) {
    CHECK_MESSAGE(seen.insert(item.setting).second, item.setting);
    CHECK_MESSAGE(!item.why.empty(), item.setting);
  }
}

TEST_CASE("what pg_control records is never touched") {
  const auto plan = Plan(FactsOf(15));
  for (const char* setting : {"max_connections", "max_worker_processes", "max_wal_senders",
                              "max_prepared_transactions", "max_locks_per_transaction"}) {
    CHECK_MESSAGE(ValueOf(plan, setting) == std::nullopt, setting);
  }
}

TEST_CASE("as is: safety is left out, separation stays") {
  ServerFacts facts = FactsOf(15);
  facts.own = {{"shared_buffers", "4194304"}};
  facts.preloads = {{"shared_preload_libraries", {{"timescaledb", Fate::kQuieted, kQuiet, false}}}};
  const auto plan = Plan(facts, {.as_is = true});
  for (const char* setting :
       {"archive_mode", "archive_cleanup_command", "primary_conninfo", "listen_addresses",
        "shared_buffers", "timescaledb.max_background_workers"}) {
    CHECK_MESSAGE(ValueOf(plan, setting) == std::nullopt, setting);
  }
  CHECK(ValueOf(plan, "data_directory") == "/mnt/pr-1");
  CHECK(ValueOf(plan, "unix_socket_directories") == "/run/1");
  CHECK(ValueOf(plan, "port") == "54321");
  CHECK(ValueOf(plan, "recovery_init_sync_method") == "fsync");
}

TEST_CASE("memory is capped when the branch wants more, and never raised") {
  ServerFacts facts = FactsOf(15);
  facts.own = {{"shared_buffers", "16385"},        // 8 kB each: one above 128 MB
               {"maintenance_work_mem", "65536"},  // kB: 64 MB
               {"autovacuum_work_mem", "-1"},      // "as maintenance_work_mem"
               {"min_dynamic_shared_memory", "512"}};
  const auto plan = Plan(facts);
  CHECK(ValueOf(plan, "shared_buffers") == "128MB");
  CHECK(ValueOf(plan, "maintenance_work_mem") == std::nullopt);
  CHECK(ValueOf(plan, "autovacuum_work_mem") == std::nullopt);
  CHECK(ValueOf(plan, "min_dynamic_shared_memory") == "64MB");
  const auto inherited = Plan(facts, {.memory = MemoryProfile::kInherit});
  CHECK(ValueOf(inherited, "shared_buffers") == std::nullopt);
  facts.memory_limit_bytes = uint64_t{128} << 20;
  const auto limited = Plan(facts);
  CHECK(ValueOf(limited, "shared_buffers") == "32MB");
  CHECK(ValueOf(limited, "maintenance_work_mem") == "32MB");
}

TEST_CASE("a server listens to TCP only when asked to, and without ssl in a network of its own") {
  ServerFacts facts = FactsOf(15);
  facts.own = {{"ssl", "on"}};
  facts.network = Network::kIsolated;
  for (const bool as_is : {false, true}) {
    OverrideChoice choice;
    choice.as_is = as_is;
    CHECK(ValueOf(Plan(facts, choice), "listen_addresses") == "");
    CHECK(ValueOf(Plan(facts, choice), "ssl") == "off");
  }
  facts.network = Network::kLoopback;
  CHECK(ValueOf(Plan(facts), "listen_addresses") == "");
  CHECK(ValueOf(Plan(facts, {.tcp = true}), "listen_addresses") == "127.0.0.1");
  facts.own = {{"ssl", "off"}};
  CHECK(ValueOf(Plan(facts), "ssl") == std::nullopt);
  facts.network = Network::kHost;
  CHECK(ValueOf(Plan(facts), "listen_addresses") == "");
}

TEST_CASE("with TCP, ssl is turned off only when its files are no good") {
  ServerFacts facts = FactsOf(15);
  const OverrideChoice tcp{.tcp = true};
  facts.own = {{"ssl", "on"}};
  CHECK(ValueOf(Plan(facts, tcp), "ssl") == std::nullopt);
  CHECK(ValueOf(Plan(facts), "ssl") == "off");
  facts.ssl_problem = "its key file is open to others";
  CHECK(ValueOf(Plan(facts, tcp), "ssl") == "off");
  facts.own = {{"ssl", "off"}};
  CHECK(ValueOf(Plan(facts, tcp), "ssl") == std::nullopt);
  CHECK(ValueOf(Plan(facts), "ssl") == std::nullopt);
}

TEST_CASE("a server has room for the replication origins that it loads") {
  ServerFacts facts = FactsOf(15);
  CHECK(ValueOf(Plan(facts), "max_replication_slots") == std::nullopt);
  facts.replication_origins = 15;
  CHECK(ValueOf(Plan(facts), "max_replication_slots") == "25");
  CHECK(ValueOf(Plan(facts, {.as_is = true}), "max_replication_slots") == "25");
  facts.own = {{"max_replication_slots", "20"}};
  CHECK(ValueOf(Plan(facts), "max_replication_slots") == std::nullopt);
  facts.replication_origins = 20;
  CHECK(ValueOf(Plan(facts), "max_replication_slots") == "30");
  facts.version = 18;
  CHECK(ValueOf(Plan(facts), "max_active_replication_origins") == "30");
}

TEST_CASE("a role's name is its own, in versions that may want the database's with it") {
  ServerFacts facts = FactsOf(15);
  facts.own = {{"db_user_namespace", "on"}};
  CHECK(ValueOf(Plan(facts), "db_user_namespace") == "off");
  const auto asked = [](int version) {
    const std::vector<std::string> names = SettingsToAsk(version, {});
    return std::find(names.begin(), names.end(), "db_user_namespace") != names.end();
  };
  CHECK(asked(16));
  CHECK_FALSE(asked(17));
}

TEST_CASE("huge pages become optional, but are not turned on") {
  ServerFacts facts = FactsOf(15);
  facts.own = {{"huge_pages", "on"}};
  CHECK(ValueOf(Plan(facts), "huge_pages") == "try");
  facts.own = {{"huge_pages", "off"}};
  CHECK(ValueOf(Plan(facts), "huge_pages") == std::nullopt);
}

TEST_CASE("a preload library that is dropped takes no other along, and the order stays") {
  ServerFacts facts = FactsOf(15);
  facts.preloads = {
      {"shared_preload_libraries",
       {Loaded("pg_stat_statements"),
        Dropped("gone"),
        {"pg_cron", Fate::kLeftOut, {LibraryAction::kLeaveOut, "", "", "would run jobs"}, false},
        Loaded("auto_explain")}},
      {"local_preload_libraries", {Dropped("gone")}}};
  const auto plan = Plan(facts);
  CHECK(ValueOf(plan, "shared_preload_libraries") == "pg_stat_statements, auto_explain");
  CHECK(ValueOf(plan, "local_preload_libraries") == "");
  CHECK(ValueOf(plan, "session_preload_libraries") == std::nullopt);
  const auto found = std::find_if(plan.begin(), plan.end(), [](const Override& item) {
    return item.setting == "shared_preload_libraries";
  });
  CHECK(found->why == "not installed: gone; left out: pg_cron (would run jobs)");
}

TEST_CASE("strict: a preload library that is not installed is a refusal") {
  ServerFacts facts = FactsOf(15);
  facts.preloads = {{"local_preload_libraries", {Dropped("timescaledb")}}};
  const Status status = PlanOverrides(facts, {.strict = true}).status();
  CHECK(status.code() == Code::kRefused);
  CHECK(status.message().find("timescaledb") != std::string::npos);
}

TEST_CASE("a library that is loaded quietly is so by its setting") {
  ServerFacts facts = FactsOf(15);
  CHECK(ValueOf(Plan(facts), "timescaledb.max_background_workers") == std::nullopt);
  facts.preloads = {{"shared_preload_libraries", {{"timescaledb", Fate::kQuieted, kQuiet, false}}}};
  CHECK(ValueOf(Plan(facts), "timescaledb.max_background_workers") == "0");
  CHECK(ValueOf(Plan(facts), "shared_preload_libraries") == std::nullopt);
}

TEST_CASE("no command of production's is run, in any version that has it") {
  for (const int version : {13, 14, 15, 16, 17, 18}) {
    CAPTURE(version);
    const auto plan = Plan(FactsOf(version));
    for (const char* setting : {"archive_command", "restore_command", "archive_cleanup_command",
                                "recovery_end_command"}) {
      CHECK_MESSAGE(ValueOf(plan, setting) == "", setting);
    }
    CHECK(ValueOf(plan, "archive_library").has_value() == (version >= 15));
    CHECK(ValueOf(plan, "promote_trigger_file").has_value() == (version <= 15));
    CHECK(ValueOf(plan, "sync_replication_slots").has_value() == (version >= 17));
    CHECK(ValueOf(plan, "synchronized_standby_slots").has_value() == (version >= 17));
    CHECK(ValueOf(plan, "allow_in_place_tablespaces").has_value() == (version >= 15));
    CHECK(ValueOf(plan, "oauth_validator_libraries").has_value() == (version >= 18));
  }
}

TEST_CASE("a key that needs a passphrase turns ssl off: its command is not run") {
  ServerFacts facts = FactsOf(15);
  facts.own = {{"ssl", "on"}, {"ssl_passphrase_command", "ask"}};
  CHECK(ValueOf(Plan(facts), "ssl") == "off");
  CHECK(ValueOf(Plan(facts), "ssl_passphrase_command") == "");
}

TEST_CASE("a configuration that archives is known as such") {
  CHECK(WouldArchive({{"archive_mode", "on"}}));
  CHECK(WouldArchive({{"archive_mode", "always"}}));
  CHECK_FALSE(WouldArchive({{"archive_mode", "off"}}));
  CHECK_FALSE(WouldArchive({}));
}

TEST_CASE("only settings that decide on something are asked for") {
  const auto has = [](const std::vector<std::string>& names, const char* name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  CHECK(has(SettingsToAsk(15, {}), "shared_buffers"));
  CHECK(has(SettingsToAsk(15, {.tcp = true}), "ssl_key_file"));
  CHECK_FALSE(has(SettingsToAsk(15, {}), "ssl_key_file"));
  CHECK(has(SettingsToAsk(14, {}), "min_dynamic_shared_memory"));
  CHECK_FALSE(has(SettingsToAsk(13, {}), "min_dynamic_shared_memory"));
  CHECK_FALSE(has(SettingsToAsk(15, {.memory = MemoryProfile::kInherit}), "shared_buffers"));
  CHECK(SettingsToAsk(15, {.as_is = true}) ==
        std::vector<std::string>{"shared_preload_libraries", "session_preload_libraries",
                                 "local_preload_libraries", "archive_mode", "listen_addresses"});
}

TEST_CASE("overrides are reported as setting, value and reason") {
  CHECK(OverridesToJson({{"archive_mode", "off", "because"}}) ==
        nlohmann::json::parse(R"([{"setting":"archive_mode","value":"off","why":"because"}])"));
}
