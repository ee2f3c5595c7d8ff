#include "velafs/store/audit_log.h"

#include <algorithm>
#include <span>
#include <string_view>

#include "velafs/chunk/packs.h"

namespace velafs::store {
namespace {

using catalog::AuditHead;
using catalog::AuditRow;

// Rows of one transaction: others wait for it.
constexpr uint64_t kRowsAtATime = 500;

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

}  // namespace

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

Status AuditLog::Append(AuditRow entry) {
  const auto add = [&](catalog::Writer& writer) -> Status {
    VELAFS_ASSIGN(const AuditHead head, writer.ReadAuditHead());
    entry.id = head.count + 1;
    entry.hash = HashOf(entry, head.hash);
    return writer.AddAudit(entry);
  };
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
    std::vector<AuditRow> rows;
    VELAFS_TRY(catalog_.Read([&](catalog::Reader& reader) -> Status {
      VELAFS_ASSIGN(rows, reader.AuditBefore(before, kRowsAtATime));
      return {};
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
  AuditHead head;
  VELAFS_TRY(catalog_.Read([&](catalog::Reader& reader) -> Status {
    VELAFS_ASSIGN(head, reader.ReadAuditHead());
    VELAFS_ASSIGN(const std::vector<AuditRow> past, reader.AuditAfter(head.count, 1));
    if (!past.empty()) return Broken(past[0].id, "is past the end the log is known to have");
    return {};
  }));
  if (noted && noted->count > head.count) return Broken(noted->count, "was noted and is missing");

  AuditHead at;
  while (at.count < head.count) {
    std::vector<AuditRow> rows;
    VELAFS_TRY(catalog_.Read([&](catalog::Reader& reader) -> Status {
      VELAFS_ASSIGN(rows, reader.AuditAfter(at.count, kRowsAtATime));
      return {};
    }));
    if (rows.empty()) return Broken(at.count + 1, "is missing");
    for (const AuditRow& row : rows) {
      if (at.count == head.count) break;  // added meanwhile
      if (row.id != at.count + 1) return Broken(at.count + 1, "is missing");
      if (row.hash != HashOf(row, at.hash)) return Broken(row.id, "is not what was written");
      at = {row.id, row.hash};
      if (noted && noted->count == at.count && noted->hash != at.hash) {
        return Broken(row.id, "is not the one that was noted");
      }
    }
  }
  if (at.hash != head.hash) return Broken(head.count, "is not the last one that was written");
  return head;
}

}  // namespace velafs::store
