#include "velafs/store/upkeep.h"

#include <spdlog/spdlog.h>

#include <chrono>

#include "velafs/store/audit_log.h"
#include "velafs/store/bookmark_verbs.h"
#include "velafs/store/govern/govern_verbs.h"
#include "velafs/store/govern/policies.h"
#include "velafs/store/govern/usage_verbs.h"
#include "velafs/store/store.h"
#include "velafs/store/trash_verbs.h"
#include "velafs/store/upkeep_verbs.h"

namespace velafs::store {
namespace {

constexpr auto kUpkeepInterval = std::chrono::seconds(5);
constexpr auto kSealInterval = std::chrono::seconds(15);
constexpr auto kTrimInterval = std::chrono::hours(1);

}  // namespace

PeriodicThread::Wait Upkeep::Run(Status (Upkeep::*tend)(), std::string* last_failure) {
  const Status done = (this->*tend)();
  if (!done.ok() && done.message() != *last_failure) spdlog::error("{}", done.message());
  *last_failure = done.ok() ? "" : done.message();
  return kUpkeepInterval;
}

Status Upkeep::KeepTimes() {
  VELAFS_TRY(Log("expire", [this](std::string* subjects) { return Expire(subjects); }));
  VELAFS_TRY(Log("trash-purge", [this](std::string* subjects) { return PurgeTrash(subjects); }));
  VELAFS_TRY(store_.usage().EnforceOwnerQuotas());
  VELAFS_TRY(store_.audit_log().AppendFolded(NowNs()));
  VELAFS_TRY(RunSchedules());
  return TrimAuditLog();
}

Status Upkeep::TendLayers() {
  VELAFS_TRY(MergeLayers());
  return SealLayers();
}

Status Upkeep::Log(const std::string& verb, const std::function<Status(std::string*)>& run) {
  const auto began = std::chrono::steady_clock::now();
  catalog::AuditRow entry = NewAuditEntry(self_, verb);
  Status done = run(&entry.subjects);
  // What found nothing to do is not worth an entry every few seconds.
  if (entry.subjects.empty()) return done;
  entry.duration_us = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                                std::chrono::steady_clock::now() - began)
                                                .count());
  Status logged = store_.audit_log().Append(std::move(entry));
  return done.ok() ? logged : done;
}

Status Upkeep::Expire(std::string* subjects) {
  VELAFS_ASSIGN(const Expired expired, store_.upkeep().Expire(self_, /*dry_run=*/false));
  for (const std::string& name : expired.stopped) {
    spdlog::info("the server on branch \"{}\", which has expired, was stopped", name);
  }
  for (const BranchInfo& branch : expired.branches) {
    spdlog::info("branch \"{}\" has expired: it is in the trash", branch.name);
    AddAuditSubject(subjects, branch.name);
  }
  for (const std::string& bookmark : expired.saved) {
    spdlog::info("the state of an expired branch is kept as bookmark \"{}\"", bookmark);
    AddAuditSubject(subjects, bookmark);
  }
  for (const std::string& bookmark : expired.bookmarks) {
    spdlog::info("bookmark \"{}\" has expired", bookmark);
    AddAuditSubject(subjects, bookmark);
  }
  return {};
}

Status Upkeep::PurgeTrash(std::string* subjects) {
  VELAFS_ASSIGN(const Purged purged,
                store_.trash().Purge(self_, store_.policies().Duration("trash_keep", nullptr),
                                     /*dry_run=*/false));
  for (const BranchInfo& branch : purged.branches) {
    spdlog::info("branch \"{}\" has been in the trash for long enough", branch.name);
    AddAuditSubject(subjects, branch.name);
  }
  return {};
}

Status Upkeep::MergeLayers() {
  const auto go_on = [this] { return GoesOn(); };
  const auto until = std::chrono::steady_clock::now() + kUpkeepInterval;
  while (go_on() && std::chrono::steady_clock::now() < until) {
    const catalog::CommitSequence change = store_.context().catalog->LastCommit();
    if (change == merged_at_) break;  // looking for what to merge takes its time, too
    VELAFS_ASSIGN(const std::optional<uint64_t> freed, store_.upkeep().MergeLayers(go_on));
    if (!freed) merged_at_ = change;
  }
  return {};
}

Status Upkeep::SealLayers() {
  const auto now = std::chrono::steady_clock::now();
  const auto after = store_.policies().Duration("seal_after", nullptr);
  if (now < seal_next_ || !after) return {};
  const TimeNs before = NowNs() - std::chrono::nanoseconds(*after).count();
  while (GoesOn() && std::chrono::steady_clock::now() < now + kUpkeepInterval) {
    const auto sealed =
        store_.upkeep().SealLayer(before, UpkeepVerbs::Pace::kGentle, [this] { return GoesOn(); });
    if (!GoesOn()) return {};
    VELAFS_TRY(sealed.status());
    if (*sealed) continue;
    seal_next_ = now + kSealInterval;
    break;
  }
  return {};
}

Status Upkeep::TrimAuditLog() {
  const AuditLimits limits = store_.governance().AuditPolicy();
  const auto now = std::chrono::steady_clock::now();
  if (now < trim_next_ || (!limits.keep && !limits.max_entries)) return {};
  VELAFS_ASSIGN(const AuditTrimmed trimmed,
                store_.audit_log().Trim(self_, limits, NowNs(), /*dry_run=*/false));
  trim_next_ = now + kTrimInterval;
  if (trimmed.entries > 0) {
    spdlog::info("{} entries of the audit log are old enough to go: it begins after {}",
                 trimmed.entries, AuditHeadText(trimmed.last));
  }
  if (trimmed.held_by) {
    spdlog::warn("the audit log keeps old entries: \"{}\" has not received those after {}",
                 *trimmed.held_by, AuditHeadText(trimmed.last));
  }
  return {};
}

Status Upkeep::RunSchedules() {
  VELAFS_ASSIGN(const Schedule done, store_.bookmarks().RunSchedules(self_, NowNs()));
  const auto log = [this](const std::string& verb, const std::vector<std::string>& names) {
    return Log(verb, [&](std::string* subjects) -> Status {
      for (const std::string& name : names) {
        spdlog::info("{} \"{}\" by schedule", verb, name);
        AddAuditSubject(subjects, name);
      }
      return {};
    });
  };
  VELAFS_TRY(log("bookmark-create", done.made));
  VELAFS_TRY(log("bookmark-delete", done.removed));
  return done.failure;
}

}  // namespace velafs::store
