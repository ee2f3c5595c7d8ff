// The verbs that make branches out of files, compare them, and give them back.
#include <string>
#include <vector>

#include "velafs/api/call.h"
#include "velafs/api/documents.h"
#include "velafs/api/progress_gate.h"
#include "velafs/store/import/import_verbs.h"
#include "velafs/store/state_verbs.h"

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

Result<store::ImportOptions> ImportOptionsOf(Arguments& arguments) {
  store::ImportOptions options;
  options.read_as = arguments.Text("read_as").value_or("");
  options.config_dir = arguments.Text("config_dir").value_or("");
  options.allow_missing_wal = arguments.Flag("allow_missing_wal");
  const std::string links = arguments.Text("links").value_or("refuse");
  if (links == "skip") {
    options.links = store::LinksOut::kSkip;
  } else if (links == "follow") {
    options.links = store::LinksOut::kFollow;
  } else if (links != "refuse") {
    return UsageError("\"links\" is none of \"refuse\", \"skip\" and \"follow\"");
  }
  if (!options.config_dir.empty() && !options.config_dir.starts_with('/')) {
    return UsageError("argument \"config_dir\" is not an absolute path");
  }
  return options;
}

}  // namespace

Answer Import(Call& call) {
  const std::string name = call.arguments.Required("name");
  const auto directory = call.arguments.Text("from_dir");
  const auto archive = call.arguments.Text("from_archive");
  VELAFS_ASSIGN(const store::ImportOptions options, ImportOptionsOf(call.arguments));
  VELAFS_TRY(call.arguments.Finish());
  if (directory.has_value() == archive.has_value()) {
    return UsageError("verb \"import\" needs either \"from_dir\" or \"from_archive\"");
  }
  if (directory && !directory->starts_with('/')) {
    return UsageError("argument \"from_dir\" is not an absolute path");
  }
  if (archive && (!options.read_as.empty() || options.links == store::LinksOut::kFollow)) {
    return UsageError("arguments \"read_as\" and \"links\": \"follow\" need \"from_dir\"");
  }
  if (archive && !call.streams.in) {
    return UsageError("verb \"import\" needs a stream to read the archive from");
  }
  ProgressGate gate(call.progress);
  const auto on_progress = [&gate](const store::ImportProgress& progress) {
    return gate.Pass([&] {
      return json{{"bytes_done", progress.bytes_done},
                  {"bytes_total", progress.bytes_total},
                  {"files_done", progress.files_done},
                  {"files_total", progress.files_total}};
    });
  };
  Result<store::ImportResult> imported =
      archive ? call.store.imports().ImportArchive(call.caller, name, *archive, call.streams.in,
                                                   on_progress, options)
              : call.store.imports().Import(call.caller, name, *directory, on_progress, options);
  if (!imported.ok() && gate.stopped()) {
    return Failed("cannot import \"" + name + "\": interrupted");
  }
  VELAFS_TRY(imported.status());
  json result = BranchToJson(imported->branch);
  result["files"] = imported->files;
  result["chunks_new"] = imported->chunks_new;
  result["chunks_shared"] = imported->chunks_shared;
  result["bytes_stored"] = imported->bytes_stored;
  result["config_dir"] = OrNull(imported->config_dir);
  result["warnings"] = imported->warnings;
  return result;
}

Answer Diff(Call& call) {
  const std::string a = call.arguments.Required("a");
  const std::string b = call.arguments.Required("b");
  VELAFS_TRY(call.arguments.Finish());
  Asking asking(call.progress);
  VELAFS_ASSIGN(const std::vector<layer::FileDifference> differences,
                call.store.states().Diff(a, b, [&asking] { return asking.GoOn(); }));
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
                call.store.states().Export(
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
              {"special_left_out", result.special_left_out},
              {"sockets_left_out", result.sockets_left_out}};
}

}  // namespace velafs::api
