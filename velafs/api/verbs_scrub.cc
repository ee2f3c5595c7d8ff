// The verb that looks for damage.
#include "velafs/api/call.h"
#include "velafs/api/documents.h"
#include "velafs/api/progress_gate.h"
#include "velafs/api/verbs.h"
#include "velafs/store/scrub/scrub.h"

namespace velafs::api {
namespace {

using nlohmann::json;

json DamageToJson(const store::Damage& damage) {
  json files = json::array();
  for (const store::DamagedFile& file : damage.files) {
    files.push_back({{"path", file.path}, {"branches", file.names}});
  }
  return {{"kind", store::DamageKindName(damage.kind)},
          {"what", damage.what},
          {"pack", damage.pack ? json(damage.pack->value) : json()},
          {"offset", OrNull(damage.offset_bytes)},
          {"chunk", damage.chunk ? json(damage.chunk->ToHex()) : json()},
          {"layer", damage.layer ? json(damage.layer->value) : json()},
          {"file", damage.files.empty() ? json() : json(damage.files[0].path)},
          {"branch", damage.files.empty() ? json() : json(damage.files[0].names[0])},
          {"files", std::move(files)}};
}

json ScrubToJson(const store::ScrubReport& report) {
  json corrupt = json::array();
  for (const store::Damage& damage : report.corrupt) corrupt.push_back(DamageToJson(damage));
  return {{"packs_checked", report.packs_checked},
          {"chunks_checked", report.chunks_checked},
          {"bytes_checked", report.bytes_checked},
          {"layers_checked", report.layers_checked},
          {"page_files_checked", report.page_files_checked},
          {"corrupt", std::move(corrupt)},
          {"repaired", report.repaired},
          {"left_over", report.left_over}};
}

// `scrub` takes the options and the gate for progress to a store, open or not.
template <typename ScrubStore>
Result<json> RunScrub(Arguments& arguments, const ProgressFn& progress, ScrubStore scrub) {
  store::ScrubOptions options;
  options.repair = arguments.Flag("repair");
  options.dry_run = arguments.Flag("dry_run");
  options.restore_catalog = arguments.Flag("restore_catalog");
  VELAFS_TRY(arguments.Finish());
  ProgressGate gate(progress);
  const Result<store::ScrubReport> report =
      scrub(options, [&gate](const store::ScrubProgress& now) {
        return gate.Pass([&] {
          return json{{"bytes_done", now.bytes_done}, {"bytes_total", now.bytes_total}};
        });
      });
  if (!report.ok() && gate.stopped()) return Failed("cannot scrub the store: interrupted");
  VELAFS_TRY(report.status());
  return ScrubToJson(*report);
}

}  // namespace

Answer Scrub(Call& call) {
  return RunScrub(call.arguments, call.progress,
                  [&call](const store::ScrubOptions& options,
                          const store::ScrubProgressFn& progress) -> Result<store::ScrubReport> {
                    if (options.restore_catalog) {
                      return Refused("cannot restore the catalog of a mounted store",
                                     "unmount it first: velafs umount");
                    }
                    return store::ScrubOpenStore(call.store.context(), options, progress);
                  });
}

Result<json> RunScrubOfClosedStore(const std::string& store_directory, const json& arguments,
                                   const ProgressFn& progress) {
  Arguments given(arguments);
  return RunScrub(given, progress,
                  [&](const store::ScrubOptions& options, const store::ScrubProgressFn& report) {
                    return store::ScrubClosedStore(store_directory, options, report);
                  });
}

}  // namespace velafs::api
