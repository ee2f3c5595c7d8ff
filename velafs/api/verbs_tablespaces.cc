// The verbs on a branch's tablespaces.
#include <string>
#include <vector>

#include "velafs/api/call.h"
#include "velafs/store/tablespace_verbs.h"

namespace velafs::api {
namespace {

using nlohmann::json;

const char* FormName(store::TablespaceForm form) {
  switch (form) {
    case store::TablespaceForm::kInside:
      return "inside";
    case store::TablespaceForm::kOldLink:
      return "old link";
    case store::TablespaceForm::kLeadsOut:
      return "leads out";
  }
  return "inside";
}

Answer TablespacesAnswer(const std::string& name,
                         const Result<std::vector<store::Tablespace>>& tablespaces) {
  VELAFS_TRY(tablespaces.status());
  json list = json::array();
  for (const store::Tablespace& tablespace : *tablespaces) {
    json one = {{"oid", tablespace.oid}, {"form", FormName(tablespace.form)}, {"target", nullptr}};
    if (!tablespace.target.empty()) one["target"] = tablespace.target;
    list.push_back(std::move(one));
  }
  return json{{"name", name}, {"tablespaces", std::move(list)}};
}

}  // namespace

Answer Tablespaces(Call& call) {
  const std::string name = call.arguments.Required("name");
  VELAFS_TRY(call.arguments.Finish());
  return TablespacesAnswer(name, call.store.tablespaces().List(name));
}

Answer TablespacesBringIn(Call& call) {
  const std::string name = call.arguments.Required("name");
  VELAFS_TRY(call.arguments.Finish());
  return TablespacesAnswer(name, call.store.tablespaces().BringIn(call.caller, name));
}

Answer TablespacesDrop(Call& call) {
  const std::string name = call.arguments.Required("name");
  const std::string oid = call.arguments.Required("oid");
  VELAFS_TRY(call.arguments.Finish());
  return TablespacesAnswer(name, call.store.tablespaces().DropLink(call.caller, name, oid));
}

}  // namespace velafs::api
