// Transactions that were prepared on production. To commit one could bring a subscription to life,
// and until then it keeps locks, which the rest of the preparation would wait for.
#include "pgctl-wrapper/server/preparation.h"
#include "velafs/base/text.h"

namespace velafs::pgctl {
namespace {

// Of those of the database that the server is connected to: their names, which may hold any bytes.
Result<std::vector<std::string>> OwnTransactions(SingleUser& server) {
  VELAFS_ASSIGN(const std::vector<Row> rows,
                server.Query({"t.gid"},
                             "FROM pg_catalog.pg_prepared_xacts t WHERE t.database = "
                             "pg_catalog.current_database()"));
  std::vector<std::string> names;
  for (const Row& row : rows) names.push_back(row[0]);
  return names;
}

}  // namespace

Result<std::string> RollBackTransactions(SingleUser& server, Preparation* report) {
  VELAFS_ASSIGN(const std::vector<Row> self, server.Query({"pg_catalog.current_database()"}, ""));
  VELAFS_ASSIGN(const std::vector<std::string> names, OwnTransactions(server));
  for (const std::string& name : names) {
    VELAFS_TRY(server.Execute("ROLLBACK PREPARED " + SqlLiteral(name)));
  }
  VELAFS_ASSIGN(const std::vector<std::string> left, OwnTransactions(server));
  const auto named = [&self](const std::string& name) {
    return "prepared transaction " + Quoted(name) + " of database " + Quoted(self[0][0]);
  };
  if (!left.empty()) return Failed(named(left[0]) + " cannot be rolled back");
  for (const std::string& name : names) {
    report->neutralised.push_back(
        {named(name), "rolled back", "keeps locks and rows, and may bring a subscription to life"});
    report->warnings.push_back(named(name) + " was rolled back: it came along with the data");
  }
  VELAFS_ASSIGN(const std::vector<Row> others,
                server.Query({"t.database"},
                             "FROM pg_catalog.pg_prepared_xacts t WHERE t.database IS NOT NULL"));
  return others.empty() ? std::string() : others[0][0];
}

}  // namespace velafs::pgctl
