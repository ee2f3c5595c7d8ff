#include "velafs/cli/table_diff.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace velafs::cli {
namespace {

using nlohmann::json;

constexpr char kTablespaces[] = "velafs_tablespaces/";

// Of any file of a relation the first, as the server names it: "base/5/1259" for
// "base/5/1259_fsm.1".
std::string FirstFile(std::string path) {
  if (path.starts_with(kTablespaces)) path = "pg_tblspc/" + path.substr(sizeof kTablespaces - 1);
  const size_t name = path.rfind('/') + 1;
  const size_t digits = path.find_first_not_of("0123456789", name);
  return digits == std::string::npos || digits == name ? path : path.substr(0, digits);
}

using Relations = std::map<std::string, const json*>;  // by first file

Relations ByFile(const json& inspected) {
  Relations relations;
  for (const json& relation : inspected.at("relations")) {
    relations.emplace(relation.at("file").get<std::string>(), &relation);
  }
  return relations;
}

bool IsOfCatalogs(const std::string& schema) {
  return schema == "pg_catalog" || schema == "information_schema";
}

using TableKey = std::tuple<std::string, std::string, std::string>;  // database, schema, table

TableKey KeyOf(const json& relation) {
  const std::string schema = relation.at("schema");
  return {relation.at("database"), IsOfCatalogs(schema) ? "pg_catalog" : schema,
          IsOfCatalogs(schema) ? "" : relation.at("table").get<std::string>()};
}

struct Row {
  uint64_t bytes_changed = 0;
  uint64_t pages_changed = 0;
  uint64_t bytes = 0;
  std::map<std::string, uint64_t> bytes_by_role;
  std::set<std::string> indexes;
};

json RowToJson(const TableKey& key, const Row& row) {
  const auto bytes_of = [&row](const char* role) {
    const auto found = row.bytes_by_role.find(role);
    return found == row.bytes_by_role.end() ? 0 : found->second;
  };
  return {{"database", std::get<0>(key)},       {"schema", std::get<1>(key)},
          {"table", std::get<2>(key)},          {"bytes_changed", row.bytes_changed},
          {"pages_changed", row.pages_changed}, {"bytes", row.bytes},
          {"indexes", row.indexes.size()},      {"table_bytes", bytes_of("table")},
          {"index_bytes", bytes_of("index")},   {"toast_bytes", bytes_of("toast")}};
}

const json* RelationOf(const json& file, const Relations& a, const Relations& b) {
  const std::string first = FirstFile(file.at("path"));
  const bool only_in_a = file.at("change") == "removed";
  for (const Relations* side : {only_in_a ? &a : &b, only_in_a ? &b : &a}) {
    if (const auto found = side->find(first); found != side->end()) return found->second;
  }
  return nullptr;
}

uint64_t SizeIn(const json& inspected, const TableKey& key) {
  uint64_t bytes = 0;
  for (const json& relation : inspected.at("relations")) {
    if (KeyOf(relation) == key) bytes += relation.at("bytes").get<uint64_t>();
  }
  return bytes;
}

}  // namespace

json TablesOf(const json& diff, const json& a, const json& b) {
  const Relations relations_a = ByFile(a);
  const Relations relations_b = ByFile(b);
  std::map<TableKey, Row> rows;
  Row others;
  for (const json& file : diff.at("files")) {
    const json* relation = RelationOf(file, relations_a, relations_b);
    Row& row = relation == nullptr ? others : rows[KeyOf(*relation)];
    const uint64_t bytes = file.at("bytes_changed");
    row.bytes_changed += bytes;
    row.pages_changed += file.at("pages_changed").get<uint64_t>();
    if (relation == nullptr) continue;
    row.bytes_by_role[relation->at("role")] += bytes;
    if (relation->at("role") == "index") row.indexes.insert(relation->at("name"));
  }
  // The table as it is now or, if it is gone, as it was.
  for (auto& [key, row] : rows) {
    const uint64_t now = SizeIn(b, key);
    row.bytes = now > 0 ? now : SizeIn(a, key);
  }
  std::vector<json> sorted;
  for (const auto& [key, row] : rows) sorted.push_back(RowToJson(key, row));
  std::stable_sort(sorted.begin(), sorted.end(), [](const json& x, const json& y) {
    return x["bytes_changed"].get<uint64_t>() > y["bytes_changed"].get<uint64_t>();
  });
  if (others.bytes_changed > 0) {
    json row = RowToJson({"", "", ""}, others);
    row["table"] = row["bytes"] = nullptr;
    sorted.push_back(std::move(row));
  }
  return sorted;
}

}  // namespace velafs::cli
