#include "pgctl-wrapper/connect/login.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <vector>

#include "pgctl-wrapper/connect/own_session.h"
#include "pgctl-wrapper/data/pg_version.h"
#include "pgctl-wrapper/data/shared_catalogs.h"
#include "pgctl-wrapper/process/process.h"
#include "velafs/base/text.h"

namespace velafs::pgctl {
namespace {

using Names = std::optional<std::vector<std::string>>;

using std::chrono::steady_clock;

// For all questions of a command together: the server may be somebody's who answers none.
constexpr std::chrono::seconds kQuestionsTime{5};
constexpr size_t kMostNamesTold = 10;
constexpr const char* kUsualDatabase = "postgres";
constexpr const char* kLastingDatabase = "template1";
constexpr const char* kClosedDatabase = "template0";
constexpr size_t kMostDatabasesTried = 8;

bool Has(const Names& names, const std::string& name) {
  return names && std::find(names->begin(), names->end(), name) != names->end();
}

// What psql says of a connection, as the data's owner.
Result<Captured> AskPsql(const Target& target, const Connection& connection,
                         const std::string& pgbin, steady_clock::time_point deadline) {
  Command psql;
  psql.argv = {ClientProgramFor(target, pgbin, "psql"), "-qXwAtc", ""};
  VELAFS_ASSIGN(const int version, ReadPgVersion(target.branch.data_dir));
  psql.environment = ForOwnSession(EnvironmentOf(target.owner), connection, version);
  psql.environment.insert_or_assign("LC_ALL", std::string("C"));
  psql.run_as = &target.owner;
  const auto time =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - steady_clock::now());
  return Capture(std::move(psql), {std::max(time, std::chrono::milliseconds(1))});
}

// The superuser that initdb made. What the files leave open is asked of the server, if it may be.
std::string BootstrapRoleOf(const Target& target, const ServerAddress& address,
                            const LoginChoice& choice) {
  std::vector<std::string> names;
  {
    const ActingAs acting(target.owner);
    names = BootstrapRoles(target.branch.data_dir);
  }
  if (names.empty()) return target.owner.name;
  if (names.size() == 1 || choice.asks_nobody) return names.front();
  const auto deadline = steady_clock::now() + kQuestionsTime;
  for (const std::string& name : names) {
    if (steady_clock::now() >= deadline) break;
    const Result<Captured> answer = AskPsql(
        target, {address.socket_dir, address.port, name, kLastingDatabase}, choice.pgbin, deadline);
    if (answer.ok() && answer->exit_status == 0) return name;
  }
  return names.front();
}

// Of a cluster that has lost "postgres": template1, else another that can be opened. What the files
// leave open is asked of the server.
std::string UsualDatabaseOf(const Target& target, Connection connection,
                            const LoginChoice& choice) {
  Names names;
  {
    const ActingAs acting(target.owner);
    const std::string& data_dir = target.branch.data_dir;
    if (IsLastingDatabase(data_dir, kUsualDatabase)) return kUsualDatabase;
    names = DatabaseNames(data_dir);
    const bool is_gone = names && !Has(names, kUsualDatabase);
    if (is_gone && IsLastingDatabase(data_dir, kLastingDatabase)) return kLastingDatabase;
  }
  std::vector<std::string> candidates = {kUsualDatabase, kLastingDatabase};
  for (const std::string& name : names.value_or(std::vector<std::string>())) {
    if (candidates.size() == kMostDatabasesTried) break;
    const bool is_known = name == kUsualDatabase || name == kLastingDatabase;
    if (!is_known && name != kClosedDatabase) candidates.push_back(name);
  }
  if (choice.asks_nobody) return candidates.front();
  const auto deadline = steady_clock::now() + kQuestionsTime;
  for (const std::string& name : candidates) {
    if (steady_clock::now() >= deadline) break;
    connection.dbname = name;
    const Result<Captured> answer = AskPsql(target, connection, choice.pgbin, deadline);
    if (answer.ok() && answer->exit_status == 0) return name;
  }
  return candidates.front();
}

std::string Listed(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kMostNamesTold); ++i) {
    text += (i == 0 ? "\"" : ", \"") + Printable(names[i]) + "\"";
  }
  return names.size() > kMostNamesTold ? text + " ..." : text;
}

Status NoSuch(const std::string& kind, const std::string& name, const Names& there,
              const std::string& branch, const std::string& option) {
  const std::string known = there ? "its " + kind + "s: " + Listed(*there) + "; " : std::string();
  return NotFound("branch \"" + branch + "\" has no " + kind + " \"" + name + "\"",
                  known + option + " names another");
}

}  // namespace

LoginChoice LoginOf(const Arguments& arguments) {
  return {.user = arguments.user,
          .dbname = arguments.dbname,
          .superuser = arguments.superuser,
          .pgbin = arguments.start.pgbin,
          .policies_of = arguments.policies_of};
}

Result<Connection> ConnectionFor(Session& session, const Target& target,
                                 const ServerAddress& address, const LoginChoice& choice) {
  Connection connection{address.socket_dir, address.port, choice.user, choice.dbname};
  const std::string& branch = choice.policies_of.empty() ? target.branch.name : choice.policies_of;
  if (connection.user.empty() && !choice.superuser) {
    VELAFS_ASSIGN(connection.user, session.Policy(branch, "default_user"));
  }
  if (connection.dbname.empty() && !choice.superuser) {
    VELAFS_ASSIGN(connection.dbname, session.Policy(branch, "default_database"));
  }
  if (connection.user.empty()) connection.user = BootstrapRoleOf(target, address, choice);
  if (connection.dbname.empty()) {
    connection.dbname = UsualDatabaseOf(target, connection, choice);
  }
  return connection;
}

Status CheckLogin(const Target& target, const Connection& connection, const std::string& pgbin) {
  Names roles;
  Names databases;
  {
    const ActingAs acting(target.owner);
    roles = RoleNames(target.branch.data_dir);
    databases = DatabaseNames(target.branch.data_dir);
  }
  const bool has_role = !roles || Has(roles, connection.user);
  const bool has_database = !databases || Has(databases, connection.dbname);
  if (has_role && has_database) return {};
  const Result<Captured> answer =
      AskPsql(target, connection, pgbin, steady_clock::now() + kQuestionsTime);
  const auto says = [&answer](const std::string& words) {
    return answer.ok() && answer->exit_status != 0 && answer->err.find(words) != std::string::npos;
  };
  if (!says("does not exist")) return {};
  const std::string& branch = target.branch.name;
  if (!has_role && says("\"" + connection.user + "\"")) {
    return NoSuch("role", connection.user, roles, branch, "--user");
  }
  return NoSuch("database", connection.dbname, databases, branch, "--dbname");
}

}  // namespace velafs::pgctl
