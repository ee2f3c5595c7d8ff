// The verbs that compare branches, and give them back.
#include <string>
#include <vector>

#include "velafs/api/call.h"
#include "velafs/api/progress_gate.h"

namespace velafs::api {
namespace {

using nlohmann::json;

const char* ChangeName(layer::FileDifference::Change change) {
  using Change = layer::FileDifference::Change;
  switch (change) {
    case Change::kAdded:
      return "added";
    case Change::kRemoved:
      return "removed";
    case Change::kModified:
      return "modified";
    case Change::kRenamed:
      return "renamed";
    case Change::kAttributes:
      return "attributes";
  }
  return "modified";
}

}  // namespace

Answer Diff(Call& call) {
  const std::string a = call.arguments.Required("a");
  const std::string b = call.arguments.Required("b");
  VELAFS_TRY(call.arguments.Finish());
  VELAFS_ASSIGN(const std::vector<layer::FileDifference> differences, call.store.Diff(a, b));
  uint64_t pages_changed = 0;
  uint64_t bytes_changed = 0;
  json files = json::array();
  for (const layer::FileDifference& file : differences) {
    pages_changed += file.pages_changed;
    bytes_changed += file.bytes_changed;
    json entry = {{"path", file.path},
                  {"change", ChangeName(file.change)},
                  {"pages_changed", file.pages_changed},
                  {"bytes_changed", file.bytes_changed},
                  {"size_bytes", file.size_bytes}};
    if (!file.from.empty()) entry["from"] = file.from;
    files.push_back(std::move(entry));
  }
  return json{{"a", a},
              {"b", b},
              {"files", std::move(files)},
              {"files_changed", differences.size()},
              {"pages_changed", pages_changed},
              {"bytes_changed", bytes_changed}};
}

Answer Export(Call& call) {
  const std::string source = call.arguments.Required("source");
  const bool keep_special = call.arguments.Flag("keep_special");
  VELAFS_TRY(call.arguments.Finish());
  if (!call.streams.out) return UsageError("verb \"export\" needs a stream to write to");
  ProgressGate gate(call.progress);
  VELAFS_ASSIGN(const store::ExportResult result,
                call.store.Export(
                    call.caller, source, call.streams.out,
                    [&gate](const store::ExportProgress& progress) {
                      return gate.Pass([&] {
                        return json{{"bytes_done", progress.bytes_done},
                                    {"bytes_total", progress.bytes_total}};
                      });
                    },
                    keep_special ? store::SpecialFiles::kKept : store::SpecialFiles::kLeftOut));
  return json{{"source", result.source},
              {"files", result.files},
              {"bytes", result.bytes},
              {"special_left_out", result.special_left_out}};
}

}  // namespace velafs::api
