// `velafs scrub`: looks for damage, and mends what can be mended.
#include <algorithm>

#include "velafs/api/client.h"
#include "velafs/cli/command.h"
#include "velafs/cli/interrupt.h"
#include "velafs/cli/progress_bar.h"
#include "velafs/cli/render_text.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct ScrubArguments {
  bool repair = false;
  bool dry_run = false;
  bool restore_catalog = false;
};

Status FoundDamage(const std::string& store, const json& damage, const ScrubArguments& given) {
  const std::string what = "store \"" + store + "\" is damaged in " +
                           std::to_string(damage.size()) +
                           (damage.size() == 1 ? " place" : " places");
  const std::string scrub = "`velafs --store " + store + " scrub --repair";
  if (!given.repair || given.dry_run) return Corrupt(what, scrub + "` mends what can be mended");
  const bool is_catalog =
      std::ranges::any_of(damage, [](const json& place) { return place.at("kind") == "catalog"; });
  return Corrupt(what + ", which cannot be mended here",
                 is_catalog && !given.restore_catalog
                     ? scrub +
                           " --restore-catalog`, on a store that is not mounted, takes the "
                           "catalog's newest good copy, without what has changed since"
                     : "what is lost of the files above must come from elsewhere");
}

Status RunScrub(const Globals& globals, const ScrubArguments& given) {
  const std::string store = globals.StoreDirectory();
  CatchInterrupts();
  const Result<json> report = [&] {
    ProgressBar bar(!globals.quiet);
    const auto on_progress = [&bar](const json& event) {
      bar.Update(event.value("bytes_done", uint64_t{0}), event.value("bytes_total", uint64_t{0}));
      return !Interrupted();
    };
    return api::CallScrub(store,
                          {{"repair", given.repair},
                           {"dry_run", given.dry_run},
                           {"restore_catalog", given.restore_catalog}},
                          on_progress);
  }();
  VELAFS_TRY(report.status());
  VELAFS_TRY(PrintResult(globals, *report, RenderScrub));
  const json& damage = report->at("corrupt");
  return damage.empty() ? Status() : FoundDamage(store, damage, given);
}

}  // namespace

void AddScrub(CommandLine& line) {
  CLI::App* command = line.Add("scrub", "Look for damage in the store, and repair it with --repair",
                               "velafs scrub\n  velafs scrub --repair");
  const auto given = std::make_shared<ScrubArguments>();
  CLI::Option* repair =
      command->add_flag("--repair", given->repair, "Repair damage if the repair loses nothing");
  command->add_flag("--dry-run", given->dry_run, "Only say what --repair would do");
  command
      ->add_flag("--restore-catalog", given->restore_catalog,
                 "Restore the catalog from its newest good copy, though it can be opened")
      ->needs(repair);
  line.OnRun(command, [given](const Globals& globals) { return RunScrub(globals, *given); });
}

}  // namespace velafs::cli
