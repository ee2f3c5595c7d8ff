#include "velafs/store/import/wal_end.h"

#include <algorithm>
#include <cstdio>
#include <span>
#include <vector>

#include "velafs/base/control_file.h"
#include "velafs/store/import/wal_segment.h"
#include "velafs/store/import/wal_tablespaces.h"

namespace velafs::store {
namespace {

using Kind = SourceEntry::Kind;

// The segments that there are, as files to read.
std::vector<uint32_t> SegmentsOf(const Source& source) {
  std::vector<uint32_t> segments;
  for (const char* directory : {"pg_wal", "pg_xlog"}) {
    const uint32_t wal = source.Find(0, directory);
    if (wal == 0) continue;
    for (uint32_t i = 1; i < source.entries.size(); ++i) {
      const SourceEntry& entry = source.entries[i];
      const bool is_file = entry.kind == Kind::kFile && source.HasContent(i);
      if (entry.parent == wal && is_file && IsWalSegmentName(entry.name)) segments.push_back(i);
    }
  }
  return segments;
}

// Nothing when it is none after all.
Result<std::optional<WalSegment>> OpenIfSegment(const Source& source, uint32_t entry) {
  VELAFS_ASSIGN(os::UniqueFd fd, source.Open(entry));
  return WalSegment::Open(source.entries[entry].name,
                          {std::move(fd), source.BeginOf(entry), source.SizeOf(entry)});
}

// The end of the names, on all timelines, of the segment that `position` lies in.
std::string NameEnd(uint64_t position, uint64_t segment_bytes) {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%08X%08X", static_cast<unsigned>(position >> 32),
                static_cast<unsigned>((position & 0xffffffff) / segment_bytes));
  return digits;
}

// Whether the page that ends at `end`, or holds it, is there. At a segment's end that segment is
// enough: one that was switched early has zeros instead of its last pages.
Result<bool> ReachesTo(const Source& source, uint64_t end) {
  const uint64_t position = end - 1;
  uint64_t segment_bytes = 0;
  for (const uint32_t entry : SegmentsOf(source)) {
    const std::string& name = source.entries[entry].name;
    if (segment_bytes != 0 && !name.ends_with(NameEnd(position, segment_bytes))) continue;
    VELAFS_ASSIGN(std::optional<WalSegment> segment, OpenIfSegment(source, entry));
    if (!segment) continue;
    segment_bytes = segment->size_bytes();
    if (!name.ends_with(NameEnd(position, segment_bytes))) continue;
    const bool is_at_boundary = end % segment_bytes == 0;
    VELAFS_ASSIGN(const auto header,
                  segment->HeaderAt(is_at_boundary ? 0 : position % segment_bytes));
    if (header) return true;
  }
  return false;
}

}  // namespace

Result<std::string> ReadControlFile(const Source& source, size_t bytes) {
  const uint32_t global = source.Find(0, "global");
  const uint32_t control = global == 0 ? 0 : source.Find(global, "pg_control");
  if (control == 0 || source.entries[control].kind != Kind::kFile) return std::string();
  VELAFS_ASSIGN(const os::UniqueFd file, source.Open(control));
  std::string text(std::min<uint64_t>(bytes, source.SizeOf(control)), '\0');
  VELAFS_TRY(source.Read(control, file.get(), 0, std::as_writable_bytes(std::span(text))));
  return text;
}

Result<std::optional<std::string>> WalEndThatIsMissing(const Source& source) {
  VELAFS_ASSIGN(const std::string control, ReadControlFile(source, kRecoveryEndBytes));
  const std::optional<ClusterState> state = ParseClusterState(control);
  const bool is_standbys =
      state == ClusterState::kShutDownInRecovery || state == ClusterState::kInArchiveRecovery;
  const uint64_t end = is_standbys ? ParseMinRecoveryEnd(control) : 0;
  if (end == 0) return std::optional<std::string>();
  VELAFS_ASSIGN(const bool is_there, ReachesTo(source, end));
  if (is_there) return std::optional<std::string>();
  char text[32];
  std::snprintf(text, sizeof text, "%X/%X", static_cast<unsigned>(end >> 32),
                static_cast<unsigned>(end & 0xffffffff));
  return std::optional<std::string>(text);
}

}  // namespace velafs::store
