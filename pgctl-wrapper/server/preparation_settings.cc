// Settings of databases and roles that name libraries to load: the command line cannot override
// them.

#include "pgctl-wrapper/server/preparation.h"
#include "pgctl-wrapper/server/server_programs.h"

namespace velafs::pgctl {
namespace {

// A row of pg_db_role_setting that has such a setting.
struct StoredSetting {
  std::string database_oid;
  std::string role_oid;
  std::string database;  // names; empty: all
  std::string role;
  std::string entry;  // NAME=VALUE
  std::string name;
  std::string value;
};

std::string Identifier(const std::string& name) {
  std::string quoted = "\"";
  for (const char c : name) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

// `DATABASE "app"`, or `ROLE "web" IN DATABASE "app"`: what ALTER calls it.
std::string PlaceOf(const StoredSetting& setting) {
  const bool has_role = setting.role_oid != "0";
  const bool has_database = setting.database_oid != "0";
  if (!has_role && has_database) return "DATABASE " + Identifier(setting.database);
  const std::string role = "ROLE " + (has_role ? Identifier(setting.role) : "ALL");
  return has_database ? role + " IN DATABASE " + Identifier(setting.database) : role;
}

Result<std::vector<StoredSetting>> StoredPreloads(SingleUser& server) {
  VELAFS_ASSIGN(
      std::vector<Row> rows,
      server.Query({"s.setdatabase", "s.setrole", "d.datname", "r.rolname", "c.entry"},
                   "FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL "
                   "pg_catalog.unnest(s.setconfig) AS c(entry) LEFT JOIN pg_catalog.pg_database d "
                   "ON d.oid = s.setdatabase LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole "
                   "WHERE c.entry ~ '^(shared|session|local)_preload_libraries='"));
  std::vector<StoredSetting> settings;
  for (Row& row : rows) {
    const size_t equals = row[4].find('=');
    settings.push_back({row[0], row[1], row[2], row[3], row[4], row[4].substr(0, equals),
                        row[4].substr(equals + 1)});
  }
  return settings;
}

std::string EntryCondition(const StoredSetting& setting) {
  return "setdatabase = " + setting.database_oid + " AND setrole = " + setting.role_oid + " AND " +
         SqlText(setting.entry) + " = ANY (setconfig)";
}

Status Replace(SingleUser& server, const StoredSetting& setting, const std::string& value) {
  VELAFS_TRY(server.Execute(
      "UPDATE pg_catalog.pg_db_role_setting SET setconfig = pg_catalog.array_replace(setconfig, " +
      SqlText(setting.entry) + ", " + SqlText(setting.name + "=" + value) + ") WHERE " +
      EntryCondition(setting)));
  VELAFS_ASSIGN(const std::vector<Row> left,
                server.Query({"setrole"}, "FROM pg_catalog.pg_db_role_setting WHERE " +
                                              EntryCondition(setting)));
  if (left.empty()) return {};
  return Failed(setting.name + " of " + PlaceOf(setting) + " cannot be changed");
}

Status CheckNoneMissing(const std::vector<StoredSetting>& settings, const std::string& branch,
                        const JudgeSetting& judge) {
  for (const StoredSetting& setting : settings) {
    VELAFS_ASSIGN(const std::vector<PreloadLibrary> libraries, judge(setting.name, setting.value));
    const std::vector<std::string> missing = MissingAmong(libraries);
    if (missing.empty()) continue;
    return Refused("branch \"" + branch + "\" preloads libraries that are not installed: " +
                       JoinLibraries(missing) + ", by " + setting.name + " of " + PlaceOf(setting),
                   "install them, or start without --strict");
  }
  return {};
}

}  // namespace

Status DropLibrariesOfSettings(SingleUser& server, const std::string& branch,
                               const JudgeSetting& judge, bool strict, Preparation* report) {
  VELAFS_ASSIGN(const std::vector<StoredSetting> settings, StoredPreloads(server));
  if (strict) VELAFS_TRY(CheckNoneMissing(settings, branch, judge));
  for (const StoredSetting& setting : settings) {
    VELAFS_ASSIGN(const std::vector<PreloadLibrary> libraries, judge(setting.name, setting.value));
    const std::string place = PlaceOf(setting);
    const std::optional<std::string> value = ValueWithoutDropped(libraries);
    if (!value) continue;
    VELAFS_TRY(Replace(server, setting, *value));
    const std::string why = WhyDropped(libraries);
    // The value is stored as ALTER takes it: a list of names, quoted where they need it.
    const std::string back =
        "ALTER " + place + " SET " + setting.name + " = " + setting.value + " brings it back";
    report->neutralised.push_back({setting.name + " of " + place, *value, why + "; " + back});
    report->warnings.push_back(setting.name + " of " + place + " lost libraries: " + why + "; " +
                               back);
  }
  return {};
}

}  // namespace velafs::pgctl
