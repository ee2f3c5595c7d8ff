#include "velafs/store/scrub/scrub.h"

#include <algorithm>
#include <cerrno>

#include "velafs/store/catalog_copies.h"
#include "velafs/store/context.h"
#include "velafs/store/scrub/scrubber.h"

namespace velafs::store {
namespace {

using DamageKind = Damage::Kind;

}  // namespace

const char* DamageKindName(DamageKind kind) {
  switch (kind) {
    case DamageKind::kCatalog:
      return "catalog";
    case DamageKind::kPack:
      return "pack";
    case DamageKind::kRecord:
      return "record";
    case DamageKind::kChunk:
      return "chunk";
    case DamageKind::kIndex:
      return "index";
    case DamageKind::kMap:
      return "map";
    case DamageKind::kPageFile:
      return "page_file";
    case DamageKind::kOrphan:
      return "orphan";
  }
  return "unknown";
}

Scrubber::Scrubber(const ScrubTarget& target, const ScrubOptions& options,
                   const ScrubProgressFn& progress)
    : target_(target), options_(options), progress_(progress) {
  if (!is_open()) {
    own_packs_ = std::make_unique<chunk::PackReader>(target.storage, target.paths.Packs());
  }
}

Result<ScrubReport> Scrubber::Run() {
  VELAFS_TRY(OpenCatalog());
  if (catalog_ != nullptr) {
    for (const auto part :
         {&Scrubber::CheckCatalog, &Scrubber::CheckPacks, &Scrubber::CheckIndex,
          &Scrubber::CheckManifests, &Scrubber::CheckLayers, &Scrubber::CheckOrphans}) {
      VELAFS_TRY(RunPart(part));
    }
    SettleStretches();
    VELAFS_TRY(RunPart(&Scrubber::NameFiles));
    if (options_.repair || options_.dry_run) VELAFS_TRY(Repair());
  }
  for (const auto& finding : findings_) {
    Damage& damage = finding->damage;
    if (is_open() && damage.kind == DamageKind::kChunk) Distrust(*finding);
    report_.corrupt.push_back(std::move(damage));
  }
  return std::move(report_);
}

Status Scrubber::RunPart(Status (Scrubber::*part)()) {
  Status status = (this->*part)();
  if (status.code() != Code::kCorrupt) return status;
  // Several parts may meet the same damage.
  const bool is_known = std::any_of(findings_.begin(), findings_.end(), [&](const auto& finding) {
    return finding->damage.what == status.message();
  });
  if (!is_known) Add(DamageKind::kCatalog, status.message());
  return {};
}

Finding& Scrubber::Add(DamageKind kind, std::string what) {
  auto finding = std::make_unique<Finding>();
  finding->damage.kind = kind;
  finding->damage.what = std::move(what);
  return *findings_.emplace_back(std::move(finding));
}

Status Scrubber::Report(uint64_t bytes_done) {
  done_.bytes_done += bytes_done;
  if (progress_ == nullptr || progress_(done_)) return {};
  return Failed("cancelled");
}

void Scrubber::Distrust(const Finding& finding) {
  const Damage& damage = finding.damage;
  if (!damage.pack || !damage.offset_bytes) return;
  target_.packs->Distrust({.pack = *damage.pack, .offset_bytes = *damage.offset_bytes});
}

// On return there is a catalog to work on, or a finding that says why not.
Status Scrubber::OpenCatalog() {
  const std::string path = target_.paths.Catalog();
  const auto info = target_.storage.Stat(path);
  auto opened = info.ok() ? catalog::Observer::Open(path)
                          : Result<std::unique_ptr<catalog::Observer>>(info.status());
  Status why;
  if (opened.ok()) {
    if (is_open() || !options_.restore_catalog) {
      catalog_ = *std::move(opened);
      return {};
    }
  } else if (info.status().error_number() == ENOENT) {
    why = Corrupt("the catalog is missing");
  } else if (opened.status().code() == Code::kCorrupt) {
    why = opened.status();
  } else {
    return std::move(opened).status();
  }
  if (is_open()) return why;
  if (!why.ok()) Add(DamageKind::kCatalog, why.message());
  if (!options_.repair && !options_.dry_run) return {};
  return RestoreCatalog();
}

Status Scrubber::CheckCatalog() {
  VELAFS_ASSIGN(const std::vector<std::string> found, catalog_->FindDamage());
  for (const std::string& what : found) Add(DamageKind::kCatalog, "catalog: " + what);
  is_catalog_sound_ = found.empty();
  return {};
}

Result<ScrubReport> Scrub(const ScrubTarget& target, const ScrubOptions& options,
                          const ScrubProgressFn& progress) {
  return Scrubber(target, options, progress).Run();
}

Result<ScrubReport> ScrubOpenStore(StoreContext& context, const ScrubOptions& options,
                                   const ScrubProgressFn& progress) {
  const ScrubTarget target{.storage = context.storage,
                           .paths = context.paths,
                           .catalog = context.catalog.get(),
                           .packs = context.packs.get(),
                           .verbs_mutex = &context.verbs_mutex};
  const auto turn =
      context.packs_turn.WaitWhile([&progress] { return progress == nullptr || progress({}); });
  if (!turn) return Failed("cancelled");
  return Scrub(target, options, progress);
}

}  // namespace velafs::store
