#include "pgctl-wrapper/command/inspect.h"

#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "pgctl-wrapper/command/commands.h"
#include "pgctl-wrapper/connect/own_session.h"
#include "pgctl-wrapper/data/pg_version.h"
#include "pgctl-wrapper/data/schema_text.h"
#include "pgctl-wrapper/pool/run.h"
#include "pgctl-wrapper/process/process.h"
#include "velafs/base/text.h"

namespace velafs::pgctl {
namespace {

using nlohmann::json;

// Every relation that has files, and the table it belongs to: an index of a TOAST table to the
// table that the TOAST table is of.
constexpr char kRelations[] = R"sql(
SELECT coalesce(json_agg(json_build_object(
  'database', CASE WHEN c.relisshared THEN '' ELSE current_database() END,
  'schema', n.nspname,
  'table', o.relname,
  'role', CASE WHEN toasted.oid IS NOT NULL THEN 'toast' WHEN x.indexrelid IS NOT NULL THEN 'index'
               ELSE 'table' END,
  'name', c.relname,
  'file', pg_catalog.pg_relation_filepath(c.oid),
  'bytes', pg_catalog.pg_relation_size(c.oid))), '[]')
FROM pg_catalog.pg_class c
LEFT JOIN pg_catalog.pg_index x ON x.indexrelid = c.oid
LEFT JOIN pg_catalog.pg_class toasted
  ON toasted.reltoastrelid <> 0 AND toasted.reltoastrelid = coalesce(x.indrelid, c.oid)
JOIN pg_catalog.pg_class o ON o.oid = coalesce(toasted.oid, x.indrelid, c.oid)
JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace
WHERE pg_catalog.pg_relation_filepath(c.oid) IS NOT NULL
)sql";

constexpr char kDatabases[] =
    "SELECT coalesce(json_agg(datname ORDER BY datname), '[]') FROM pg_catalog.pg_database "
    "WHERE datallowconn";

constexpr uint64_t kMostAnswerBytes = 256 << 20;

// One that can be opened where the usual one cannot.
constexpr const char* kDatabaseToOpen = "template1";

// The server's words if there are some, else the program's.
std::string FirstComplaint(const std::string& text) {
  constexpr std::string_view kFatal = "FATAL:  ";
  const size_t fatal = text.find(kFatal);
  const size_t start = fatal == std::string::npos ? 0 : fatal + kFatal.size();
  return text.substr(start, text.find('\n', start) - start);
}

// For pg_dumpall, which takes a pattern: in double quotes each character is meant as it is.
std::string QuotedPattern(const std::string& name) {
  std::string quoted = "\"";
  for (const char c : name) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

class Inspector {
 public:
  Inspector(const Target& target, const Connection& connection, const StartOptions& options)
      : target_(target),
        connection_(connection),
        pgbin_(options.pgbin),
        timeout_(options.timeout),
        open_database_(connection.dbname) {}

  Result<json> Relations() {
    VELAFS_ASSIGN(const json databases, Databases());
    json relations = json::array();
    bool is_first = true;
    for (const json& database : databases) {
      const std::string name = database.get<std::string>();
      const Result<json> found = Query(name, kRelations);
      if (!found.ok()) {
        not_inspected_[name] = found.status().message();
        continue;
      }
      for (const json& relation : *found) {
        const bool is_shared = relation.value("database", "").empty();
        if (!is_shared || is_first) relations.push_back(relation);
      }
      is_first = false;
    }
    return relations;
  }

  // Of all databases that can be opened.
  Result<std::string> Schema() {
    std::vector<std::string> dump = {"pg_dumpall",    "--schema-only", "--no-role-passwords",
                                     "--no-password", "--database",    open_database_};
    Result<std::string> schema = Dump(dump);
    if (schema.ok()) return schema;
    VELAFS_ASSIGN(const json databases, Databases());
    for (const json& database : databases) {
      const std::string name = database.get<std::string>();
      const Status dumped = TryToDump(name);
      if (dumped.ok()) continue;
      not_inspected_[name] = dumped.message();
      dump.push_back("--exclude-database=" + QuotedPattern(name));
    }
    dump[5] = open_database_;
    return not_inspected_.empty() ? schema : Dump(dump);
  }

  // By database, why.
  const std::map<std::string, std::string>& not_inspected() const { return not_inspected_; }

 private:
  // The names of those that take connections.
  Result<json> Databases() {
    Result<json> databases = Query(open_database_, kDatabases);
    if (databases.ok()) return databases;
    open_database_ = kDatabaseToOpen;
    Result<json> others = Query(open_database_, kDatabases);
    return others.ok() ? std::move(others) : std::move(databases);
  }

  Result<std::string> Dump(const std::vector<std::string>& argv) {
    VELAFS_ASSIGN(const std::string dump, RunDump(open_database_, argv));
    return WithoutRestrictKeys(dump);
  }

  // Whether pg_dumpall can have this one among the others.
  Status TryToDump(const std::string& database) {
    if (database.find_first_of("\r\n") != std::string::npos) {
      return Failed("pg_dumpall takes no name with a line break");
    }
    return RunDump(database, {"pg_dump", "--schema-only", "--no-password"}).status();
  }

  // A database without an encoding may have text that is not UTF-8, which the server refuses to
  // call so: each in its own then.
  Result<std::string> RunDump(const std::string& database, const std::vector<std::string>& argv) {
    Result<std::string> text = Run(database, argv);
    const bool is_odd =
        !text.ok() && text.status().message().find("byte sequence") != std::string::npos;
    return is_odd ? Run(database, argv, "") : std::move(text);
  }

  Result<json> Query(const std::string& database, const std::string& query) {
    VELAFS_ASSIGN(const std::string text,
                  Run(database, {"psql", "-qXwAt", "-v", "ON_ERROR_STOP=1", "-c", query}));
    json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (value.is_discarded()) return Failed("the server's answer is not understood");
    return value;
  }

  // What the program, which comes first, prints.
  // In that encoding; in that of each database if it is empty.
  Result<std::string> Run(const std::string& database, std::vector<std::string> argv,
                          const char* encoding = "UTF8") {
    const std::string program = argv[0];
    argv[0] = ClientProgramFor(target_, pgbin_, program);
    Connection connection = connection_;
    connection.dbname = database;
    Command command;
    command.argv = std::move(argv);
    VELAFS_ASSIGN(const int version, ReadPgVersion(target_.branch.data_dir));
    command.environment = ForOwnSession(EnvironmentOf(target_.owner), connection, version);
    command.environment.insert_or_assign("LC_ALL", std::string("C"));
    command.environment.erase("PGCLIENTENCODING");
    if (*encoding != '\0') command.environment.emplace("PGCLIENTENCODING", encoding);
    command.run_as = &target_.owner;
    // The server is as slow as it likes, and answers what it likes.
    VELAFS_ASSIGN(Captured captured, Capture(std::move(command), {timeout_, kMostAnswerBytes}));
    if (captured.exit_status == 0) return std::move(captured.out);
    return Failed(program + " failed: " + FirstComplaint(captured.err));
  }

  const Target& target_;
  const Connection& connection_;
  const std::string pgbin_;
  const std::chrono::seconds timeout_;
  std::string open_database_;
  std::map<std::string, std::string> not_inspected_;
};

}  // namespace

Result<int> Inspect(const Arguments& given, const Output& output) {
  Arguments arguments = given;
  arguments.superuser = true;  // unless --user names another: only that sees all
  json document = {{"source", arguments.branch}};
  VELAFS_ASSIGN(
      const int exit_status,
      OnThrowAwayClone(
          arguments, output,
          [&](const Target& target, const Connection& connection) -> Result<int> {
            Inspector inspector(target, connection, arguments.start);
            if (arguments.inspect_relations) {
              VELAFS_ASSIGN(document["relations"], inspector.Relations());
            }
            if (arguments.inspect_schema) {
              VELAFS_ASSIGN(document["schema"], inspector.Schema());
            }
            document["not_inspected"] = json::array();
            for (const auto& [database, why] : inspector.not_inspected()) {
              output.Warn("database \"" + Printable(database) + "\" was not inspected: " + why);
              document["not_inspected"].push_back({{"database", database}, {"why", why}});
            }
            return 0;
          }));
  if (exit_status == 0) output.Print(document);
  return exit_status;
}

}  // namespace velafs::pgctl
