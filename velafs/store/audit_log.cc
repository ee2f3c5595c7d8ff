#include "velafs/store/audit_log.h"

#include <algorithm>
#include <span>
#include <string_view>

#include "velafs/base/text.h"
#include "velafs/chunk/packs.h"
#include "velafs/store/rules.h"

namespace velafs::store {
namespace {

using catalog::AuditHead;
using catalog::AuditMark;
using catalog::AuditRow;

// Rows of one transaction: others wait for it.
constexpr uint64_t kRowsAtATime = 500;
// Entries that one transaction trims.
constexpr uint64_t kTrimmedAtOnce = 10'000;
constexpr size_t kMaxDestinationBytes = 4096;

void AddNumber(std::string* bytes, uint64_t number) {
  for (int shift = 0; shift < 64; shift += 8) {
    bytes->push_back(static_cast<char>(static_cast<unsigned char>(number >> shift)));
  }
}

// FORMAT.md has these bytes.
ChunkId HashOf(const AuditRow& row, const ChunkId& before) {
  std::string bytes(reinterpret_cast<const char*>(before.bytes.data()), before.bytes.size());
  for (const uint64_t number : {row.id, static_cast<uint64_t>(row.at), uint64_t{row.uid},
                                uint64_t{row.pid}, row.duration_us}) {
    AddNumber(&bytes, number);
  }
  for (const std::string* text :
       {&row.user, &row.verb, &row.subjects, &row.source, &row.detail, &row.result}) {
    AddNumber(&bytes, text->size());
    bytes += *text;
  }
  return chunk::HashChunk(std::as_bytes(std::span(bytes)));
}

// Whether `name` is the branch, or a bookmark of it.
bool IsOf(std::string_view name, const std::string& branch) {
  return name.starts_with(branch) && (name.size() == branch.size() || name[branch.size()] == '@');
}

bool Concerns(const AuditRow& row, const std::string& branch) {
  for (std::string_view rest = row.subjects; !rest.empty();) {
    const std::string_view name = rest.substr(0, rest.find('\n'));
    if (IsOf(name, branch)) return true;
    rest.remove_prefix(std::min(name.size() + 1, rest.size()));
  }
  return IsOf(row.source, branch);
}

bool Passes(const AuditRow& row, const AuditFilter& filter) {
  return (!filter.since || row.at >= *filter.since) && (!filter.user || row.user == *filter.user) &&
         (!filter.verb || row.verb == *filter.verb) &&
         (!filter.branch || Concerns(row, *filter.branch));
}

Status Broken(uint64_t entry, const std::string& what) {
  return Corrupt("the audit log is broken: entry " + std::to_string(entry) + " " + what);
}

// Moves on to the next entry; Corrupt unless the row is that.
Status Follow(const AuditRow& row, AuditHead* at) {
  if (row.id != at->count + 1) return Broken(at->count + 1, "is missing");
  if (row.hash != HashOf(row, at->hash)) return Broken(row.id, "is not what was written");
  *at = {row.id, row.hash};
  return {};
}

// Corrupt unless that is an entry of the log, or the last that was trimmed.
Status CheckIsIn(catalog::Reader& reader, const AuditHead& entry) {
  VELAFS_ASSIGN(const AuditHead begin, reader.ReadAuditBegin());
  AuditHead found = begin;
  if (entry.count != begin.count) {
    VELAFS_ASSIGN(const std::vector<AuditRow> rows, reader.AuditBefore(entry.count + 1, 1));
    if (rows.empty() || rows[0].id != entry.count) return Broken(entry.count, "is missing");
    found.hash = rows[0].hash;
    found.count = rows[0].id;
  }
  return found == entry ? Status() : Broken(entry.count, "is not the one that was shipped");
}

Status CheckDestination(const std::string& destination) {
  if (destination.empty()) return UsageError("the name of the destination is empty");
  return CheckWord("the name of the destination", destination, kMaxDestinationBytes);
}

// What an entry of a trimming says.
std::string TrimDetail(uint64_t entries, const AuditHead& last) {
  return R"({"entries":")" + std::to_string(entries) + R"(","last":")" + AuditHeadText(last) +
         R"("})";
}

// Whether it says that the log begins after `begin`.
bool TellsBegin(const std::optional<AuditRow>& trimming, const AuditHead& begin) {
  return trimming && trimming->detail.ends_with(R"("last":")" + AuditHeadText(begin) + R"("})");
}

}  // namespace

std::string AuditHeadText(const AuditHead& head) {
  return std::to_string(head.count) + ":" + head.hash.ToHex();
}

AuditRow NewAuditEntry(const Caller& caller, const std::string& verb) {
  AuditRow entry;
  entry.at = NowNs();
  entry.uid = caller.uid;
  entry.pid = caller.pid;
  entry.user = caller.user;
  entry.verb = verb;
  entry.detail = "{}";
  entry.result = kAuditDone;
  return entry;
}

void AddAuditSubject(std::string* subjects, const std::string& name) {
  if (name.empty()) return;
  if (!subjects->empty()) *subjects += '\n';
  *subjects += name;
}

Status AuditLog::Add(catalog::Writer& writer, AuditRow entry) {
  VELAFS_ASSIGN(const AuditHead head, writer.ReadAuditHead());
  entry.id = head.count + 1;
  entry.hash = HashOf(entry, head.hash);
  return writer.AddAudit(entry);
}

Status AuditLog::Append(AuditRow entry) {
  const auto add = [&](catalog::Writer& writer) { return Add(writer, entry); };
  const auto write = [&] { return catalog_.Write(add); };
  // The reserve is there for what is done: calls that fail on a full disk must not use it up.
  VELAFS_ASSIGN(const catalog::CommitSequence sequence,
                entry.result == kAuditDone ? reserve_.Run(write) : write());
  return catalog_.MakeDurable(sequence);
}

Status AuditLog::AppendFailure(AuditRow entry) {
  std::optional<AuditRow> passed;
  {
    MutexLock lock(failures_mutex_);
    passed = failures_.Pass(std::move(entry), NowNs());
  }
  return passed ? Append(*std::move(passed)) : Status();
}

std::map<uint32_t, uint64_t> AuditLog::FoldedFailures() {
  MutexLock lock(failures_mutex_);
  return failures_.Folded();
}

Status AuditLog::AppendFolded(TimeNs now) {
  std::vector<AuditRow> rows;
  {
    MutexLock lock(failures_mutex_);
    rows = failures_.TakeFolded(now);
  }
  for (AuditRow& row : rows) VELAFS_TRY(Append(std::move(row)));
  return {};
}

Result<std::vector<AuditRow>> AuditLog::List(const AuditFilter& filter) {
  std::vector<AuditRow> found;
  const auto has_all = [&] { return filter.limit > 0 && found.size() == filter.limit; };
  for (uint64_t before = INT64_MAX; before > 0 && !has_all();) {
    VELAFS_ASSIGN(std::vector<AuditRow> rows, catalog_.Read([&](catalog::Reader& reader) {
      return reader.AuditBefore(before, kRowsAtATime);
    }));
    before = rows.empty() ? 0 : rows.back().id;
    for (AuditRow& row : rows) {
      if (Passes(row, filter) && !has_all()) found.push_back(std::move(row));
    }
  }
  std::ranges::reverse(found);
  return found;
}

Result<AuditHead> AuditLog::Verify(const std::optional<AuditHead>& noted) {
  MutexLock lock(trim_mutex_);
  AuditHead head;
  AuditHead begin;
  VELAFS_TRY(catalog_.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(head, reader.ReadAuditHead());
    VELAFS_ASSIGN(begin, reader.ReadAuditBegin());
    VELAFS_ASSIGN(const std::vector<AuditRow> trimmed, reader.AuditBefore(begin.count + 1, 1));
    if (!trimmed.empty()) return Broken(trimmed[0].id, "is from before its beginning");
    VELAFS_ASSIGN(const std::vector<AuditRow> past, reader.AuditAfter(head.count, 1));
    if (!past.empty()) return Broken(past[0].id, "is past the known end of the log");
    return {};
  }));
  if (noted && noted->count > head.count) return Broken(noted->count, "was noted and is missing");
  if (noted && noted->count < begin.count) {
    return NotFound("entry " + std::to_string(noted->count) + ", which was noted, has been trimmed",
                    "the log begins after " + AuditHeadText(begin));
  }
  if (noted && noted->count == begin.count && *noted != begin) {
    return Broken(begin.count, "is not the one that was noted");
  }

  AuditHead at = begin;
  std::optional<AuditRow> trimming;  // the last
  while (at.count < head.count) {
    VELAFS_ASSIGN(std::vector<AuditRow> rows, catalog_.Read([&](catalog::Reader& reader) {
      return reader.AuditAfter(at.count, kRowsAtATime);
    }));
    if (rows.empty()) return Broken(at.count + 1, "is missing");
    for (const AuditRow& row : rows) {
      if (at.count == head.count) break;  // added meanwhile
      VELAFS_TRY(Follow(row, &at));
      if (noted && noted->count == at.count && noted->hash != at.hash) {
        return Broken(row.id, "is not the one that was noted");
      }
      if (row.verb == kAuditTrim && row.result == kAuditDone) trimming = row;
    }
  }
  if (begin.count > 0 && !TellsBegin(trimming, begin)) {
    return Broken(begin.count, "is missing, and no entry tells of its trimming");
  }
  if (at.hash != head.hash) return Broken(head.count, "is not the last one that was written");
  return head;
}

Result<AuditHead> AuditLog::Begin() {
  VELAFS_ASSIGN(const AuditHead begin, catalog_.Read(&catalog::Reader::ReadAuditBegin));
  return begin;
}

struct AuditLog::Bounds {
  TimeNs before = INT64_MIN;  // entries of an earlier time are old
  uint64_t last_old = 0;      // as are those up to this one, by their number
  uint64_t last_shipped = UINT64_MAX;
};

struct AuditLog::OldEntries {
  uint64_t entries = 0;
  AuditHead last;
  bool has_only_trimmings = true;
  bool is_held = false;  // the next one is old too, but a destination has yet to get it
};

Result<AuditLog::OldEntries> AuditLog::FindOld(const AuditHead& after, const Bounds& bounds) {
  OldEntries old;
  old.last = after;
  for (bool is_end = false; !is_end && old.entries < kTrimmedAtOnce;) {
    VELAFS_ASSIGN(std::vector<AuditRow> rows, catalog_.Read([&](catalog::Reader& reader) {
      return reader.AuditAfter(old.last.count, kRowsAtATime);
    }));
    is_end = rows.empty();
    for (const AuditRow& row : rows) {
      const bool is_old = row.id <= bounds.last_old || row.at < bounds.before;
      old.is_held = is_old && row.id > bounds.last_shipped;
      is_end = !is_old || old.is_held;
      if (is_end) break;
      VELAFS_TRY(Follow(row, &old.last));
      old.has_only_trimmings = old.has_only_trimmings && row.verb == kAuditTrim;
      ++old.entries;
    }
  }
  return old;
}

Status AuditLog::Remove(const Caller& caller, const OldEntries& old) {
  AuditRow entry = NewAuditEntry(caller, kAuditTrim);
  entry.detail = TrimDetail(old.entries, old.last);
  const auto remove = [&](catalog::Writer& writer) -> Status {
    VELAFS_TRY(writer.TrimAudit(old.last));
    return Add(writer, entry);
  };
  VELAFS_ASSIGN(const catalog::CommitSequence sequence,
                reserve_.Run([&] { return catalog_.Write(remove); }));
  return catalog_.MakeDurable(sequence);
}

Result<AuditTrimmed> AuditLog::Trim(const Caller& caller, const AuditLimits& limits, TimeNs now,
                                    bool dry_run) {
  MutexLock lock(trim_mutex_);
  Bounds bounds;
  AuditTrimmed trimmed;
  VELAFS_TRY(catalog_.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(trimmed.last, reader.ReadAuditBegin());
    VELAFS_ASSIGN(const AuditHead head, reader.ReadAuditHead());
    const uint64_t most = limits.max_entries.value_or(UINT64_MAX);
    if (head.count - trimmed.last.count > most) bounds.last_old = head.count + 1 - most;
    VELAFS_ASSIGN(const std::vector<AuditMark> marks, reader.AuditMarks());
    for (const AuditMark& mark : marks) {
      if (mark.last.count >= bounds.last_shipped) continue;
      bounds.last_shipped = mark.last.count;
      trimmed.held_by = mark.destination;
    }
    return {};
  }));
  if (limits.keep) bounds.before = now - std::chrono::nanoseconds(*limits.keep).count();
  while (true) {
    VELAFS_ASSIGN(const OldEntries old, FindOld(trimmed.last, bounds));
    if (!old.is_held && old.entries < kTrimmedAtOnce) trimmed.held_by.reset();
    // Else a log to which nothing comes would be trimmed of its own entries for ever.
    if (old.has_only_trimmings) return trimmed;
    if (!dry_run) VELAFS_TRY(Remove(caller, old));
    trimmed.entries += old.entries;
    trimmed.last = old.last;
    if (old.entries < kTrimmedAtOnce) return trimmed;
  }
}

Result<AuditUnshipped> AuditLog::Unshipped(const std::string& destination,
                                           const std::optional<AuditHead>& has) {
  MutexLock lock(trim_mutex_);
  AuditUnshipped unshipped;
  VELAFS_TRY(catalog_.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(const AuditHead begin, reader.ReadAuditBegin());
    VELAFS_ASSIGN(const AuditHead head, reader.ReadAuditHead());
    VELAFS_ASSIGN(const std::vector<AuditMark> marks, reader.AuditMarks());
    const auto mark = std::ranges::find(marks, destination, &AuditMark::destination);
    AuditHead& last = unshipped.last;
    last = has ? *has : mark != marks.end() ? mark->last : begin;
    if (last.count > head.count) return Broken(last.count, "was shipped and is missing");
    if (last.count < begin.count) {
      return NotFound("entries " + std::to_string(last.count + 1) + " to " +
                          std::to_string(begin.count) + " have been trimmed",
                      "ship what there is to another destination");
    }
    VELAFS_TRY(CheckIsIn(reader, last));
    VELAFS_ASSIGN(unshipped.rows, reader.AuditAfter(last.count, kRowsAtATime));
    return {};
  }));
  for (const AuditRow& row : unshipped.rows) VELAFS_TRY(Follow(row, &unshipped.last));
  return unshipped;
}

Status AuditLog::MarkShipped(const std::string& destination, const AuditHead& last) {
  VELAFS_TRY(CheckDestination(destination));
  MutexLock lock(trim_mutex_);  // a trim has looked at the marks, and removes up to them
  const auto mark = [&](catalog::Writer& writer) -> Status {
    VELAFS_TRY(CheckIsIn(writer, last));
    VELAFS_ASSIGN(const std::vector<AuditMark> marks, writer.AuditMarks());
    const auto found = std::ranges::find(marks, destination, &AuditMark::destination);
    if (found != marks.end() && found->last.count >= last.count) return {};
    return writer.PutAuditMark({destination, last});
  };
  VELAFS_ASSIGN(const catalog::CommitSequence sequence, catalog_.Write(mark));
  return catalog_.MakeDurable(sequence);
}

Status AuditLog::ForgetDestination(const std::string& destination) {
  const auto forget = [&](catalog::Writer& writer) -> Status {
    VELAFS_ASSIGN(const std::vector<AuditMark> marks, writer.AuditMarks());
    if (std::ranges::find(marks, destination, &AuditMark::destination) == marks.end()) {
      return NotFound("nothing was shipped to " + Quoted(destination),
                      "`velafs audit verify` shows where it was shipped");
    }
    return writer.RemoveAuditMark(destination);
  };
  VELAFS_ASSIGN(const catalog::CommitSequence sequence, catalog_.Write(forget));
  return catalog_.MakeDurable(sequence);
}

Result<std::vector<AuditMark>> AuditLog::Marks() {
  VELAFS_ASSIGN(const std::vector<AuditMark> marks, catalog_.Read(&catalog::Reader::AuditMarks));
  return marks;
}

}  // namespace velafs::store
