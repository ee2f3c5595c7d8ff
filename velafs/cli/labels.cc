#include "velafs/cli/labels.h"

namespace velafs::cli {

using nlohmann::json;

Result<json> LabelsToJson(const std::vector<std::string>& labels) {
  json object = json::object();
  for (const std::string& label : labels) {
    const size_t equals = label.find('=');
    if (equals == std::string::npos || equals == 0) {
      return UsageError("label \"" + label + "\" is not KEY=VALUE");
    }
    object[label.substr(0, equals)] = label.substr(equals + 1);
  }
  return object;
}

std::string LabelsOf(const json& branch) {
  std::string text;
  const json of_branch = branch.value("labels", json::object());
  for (const auto& [key, value] : of_branch.items()) {
    if (!text.empty()) text += ", ";
    text += key + "=" + value.get<std::string>();
  }
  return text.empty() ? "-" : text;
}

}  // namespace velafs::cli
