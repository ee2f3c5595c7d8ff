#include "velafs/cli/archive_members.h"

#include <archive.h>
#include <archive_entry.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "velafs/store/import/source_backup.h"
#include "velafs/store/import/source_tree.h"
#include "velafs/store/import/wal_tablespaces.h"

namespace velafs::cli {
namespace {

using store::Member;

constexpr size_t kMaxTextBytes = 1024 * 1024;  // what import reads of such files, too

struct FreeReader {
  void operator()(archive* it) const { archive_read_free(it); }
};
using Reader = std::unique_ptr<archive, FreeReader>;

// The input of the library's reader.
struct Input {
  int fd;
  std::array<std::byte, 256 * 1024> buffer;
  bool is_empty = true;

  static la_ssize_t Read(archive* archive, void* self, const void** bytes) {
    auto& input = *static_cast<Input*>(self);
    *bytes = input.buffer.data();
    ssize_t got = -1;
    do {
      got = read(input.fd, input.buffer.data(), input.buffer.size());
    } while (got < 0 && errno == EINTR);
    if (got < 0) archive_set_error(archive, errno, "it cannot be read: %s", std::strerror(errno));
    if (got > 0) input.is_empty = false;
    return got;
  }
};

// Messages of the library about bad archives, by a word in lower case, with what they mean.
constexpr std::pair<std::string_view, std::string_view> kMeanings[] = {
    {"it cannot be read", ""},  // our own words
    {"unrecognized archive format", "it is not a tar archive, compressed or not"},
    {"truncated", "it is cut short"},
    {"end of file", "it is cut short"},
    {"allocate", "there is not enough memory to read it"},
    {"decompress", "its compressed data is damaged"},
    {"compression", "its compressed data is damaged"},
    {"corrupt", "its compressed data is damaged"},
    {"lzma", "its compressed data is damaged"},
    {"bzip", "its compressed data is damaged"},
    {"lz4", "its compressed data is damaged"},
    {"damaged", "it is damaged"},
};

Status Fail(archive* archive) {
  const char* text = archive_error_string(archive);
  if (text == nullptr) return Failed("it cannot be read");
  std::string words = text;
  std::ranges::transform(words, words.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const auto& [word, meaning] : kMeanings) {
    if (words.find(word) == std::string::npos) continue;
    return Failed(meaning.empty() ? text : std::string(meaning));
  }
  return Failed("it is damaged: " + words);
}

// Those that are decompressed in this process: the library runs programs for others.
void SupportCompressions(archive* from) {
  archive_read_support_filter_gzip(from);
  archive_read_support_filter_bzip2(from);
  archive_read_support_filter_xz(from);
  archive_read_support_filter_lzma(from);
  archive_read_support_filter_lzip(from);
  archive_read_support_filter_zstd(from);
  archive_read_support_filter_lz4(from);
  archive_read_support_filter_compress(from);
}

TimeNs TimeOf(archive_entry* entry) {
  constexpr TimeNs kSecond = 1'000'000'000;
  constexpr TimeNs kMaxSeconds = INT64_MAX / kSecond - 1;
  const TimeNs seconds = std::clamp<TimeNs>(archive_entry_mtime(entry), -kMaxSeconds, kMaxSeconds);
  return seconds * kSecond + archive_entry_mtime_nsec(entry) % kSecond;
}

// Refused when it has an owner that no file of this machine can have.
Result<uint32_t> OwnerOf(const std::string& path, int64_t id) {
  if (id >= 0 && id < UINT32_MAX) return static_cast<uint32_t>(id);
  return Refused("\"" + path + "\" has an owner or a group that cannot be");
}

Result<Member> MemberOf(archive_entry* entry) {
  const char* path = archive_entry_pathname(entry);
  if (path == nullptr) return Refused("it has a member whose name cannot be read");
  Member member;
  member.path = path;
  const char* symlink = archive_entry_symlink(entry);
  const char* hardlink = archive_entry_hardlink(entry);
  const auto type = archive_entry_filetype(entry);
  if (hardlink != nullptr) {
    member.kind = Member::Kind::kHardLink;
    member.target = hardlink;
  } else if (type == AE_IFLNK && symlink != nullptr) {
    member.kind = Member::Kind::kSymlink;
    member.target = symlink;
  } else if (type == AE_IFDIR) {
    member.kind = Member::Kind::kDirectory;
  } else if (type == AE_IFIFO) {
    member.kind = Member::Kind::kFifo;
  } else if (type != AE_IFREG) {
    return Refused("\"" + member.path + "\" is neither a file, a directory nor a link");
  }
  member.mode = archive_entry_perm(entry);
  VELAFS_ASSIGN(member.uid, OwnerOf(member.path, archive_entry_uid(entry)));
  VELAFS_ASSIGN(member.gid, OwnerOf(member.path, archive_entry_gid(entry)));
  member.mtime = TimeOf(entry);
  if (member.kind == Member::Kind::kFile) {
    if (archive_entry_size(entry) < 0) return Refused("\"" + member.path + "\" has no size");
    member.size_bytes = static_cast<uint64_t>(archive_entry_size(entry));
  }
  return member;
}

// A base backup, as its first archive goes by.
class Backup {
 public:
  // The text to fill with the member's content; null for most.
  std::string* TextOf(const Member& member) {
    const size_t slash = member.path.rfind('/');
    const std::string name = member.path.substr(slash == std::string::npos ? 0 : slash + 1);
    std::string directory = slash == std::string::npos ? "" : member.path.substr(0, slash + 1);
    if (std::ranges::count(directory, '/') > (directory.starts_with("./") ? 2 : 1)) return nullptr;
    if (name == "PG_VERSION" && member.kind == Member::Kind::kFile)
      owner_ = {member.uid, member.gid};
    if (name != store::kTablespaceMap && name != "backup_label") return nullptr;
    top_ = std::move(directory);
    return name == "backup_label" ? &label_ : &map_;
  }
  // What may be in archives of its own, too.
  void NotePlace(const std::string& path) {
    for (const std::string directory : {store::kTablespaceLinks, "pg_wal"}) {
      const size_t at = path.find(directory + "/");
      if (at == std::string::npos) continue;
      const size_t end = path.find('/', at + directory.size() + 1);
      places_.insert(WithoutDot(path.substr(0, end)));
    }
  }

  // Where what an archive of that name has goes; nothing when the backup does not need it.
  std::optional<std::string> PlaceOf(const std::string& name) const {
    std::string place = top_;
    const std::string segment = store::FirstWalSegment(label_);
    if (name == "pg_wal" && store::IsWalSegmentName(segment)) {
      place += "pg_wal/";
      return places_.contains(WithoutDot(place + segment)) ? std::nullopt : std::optional(place);
    }
    if (!store::ParseTablespaceMap(map_).contains(name)) return {};
    place += std::string(store::kTablespaceLinks) + "/" + name + "/";
    return places_.contains(WithoutDot(place)) ? std::nullopt : std::optional(place);
  }
  // pg_basebackup makes pg_wal.tar itself, with an owner of no meaning.
  void GiveOwner(Member& member) const {
    if (owner_) std::tie(member.uid, member.gid) = *owner_;
  }

 private:
  // Without "./" in front and a slash behind.
  static std::string WithoutDot(const std::string& path) {
    std::string bare = path.starts_with("./") ? path.substr(2) : path;
    while (bare.ends_with('/')) bare.pop_back();
    return bare;
  }

  std::string top_;  // the directory that has PG_VERSION, in the archive
  std::string label_;
  std::string map_;
  std::optional<std::pair<uint32_t, uint32_t>> owner_;
  std::set<std::string> places_;
};

// Copies into `text` too, unless it is null. A fault of the archive goes into `failure`.
Status CopyContent(archive* from, const Member& member, store::MemberWriter& out, Status* failure,
                   std::string* text) {
  uint64_t end = 0;
  for (;;) {
    const void* bytes = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    const int read = archive_read_data_block(from, &bytes, &size, &offset);
    if (read == ARCHIVE_EOF) return {};
    if (read != ARCHIVE_OK) {
      *failure = Fail(from);
      return {};
    }
    const auto begin = static_cast<uint64_t>(offset);  // of a sparse file it may be anything
    if (begin < end || begin > member.size_bytes || size > member.size_bytes - begin) {
      *failure = Failed("\"" + member.path + "\" has content in no place of its own");
      return {};
    }
    end = begin + size;
    VELAFS_TRY(out.PutBlock({begin, std::span(static_cast<const std::byte*>(bytes), size)}));
    if (text != nullptr && text->size() < kMaxTextBytes) {
      text->append(static_cast<const char*>(bytes), std::min(size, kMaxTextBytes - text->size()));
    }
  }
}

// Parses archives one after the other into one stream.
class Parser {
 public:
  explicit Parser(store::MemberWriter& out) : out_(out) {}

  // All of it below `place`, which ends with a slash, or is "". What is wrong with the archive goes
  // into `failure`; fails when the stream cannot be written.
  Status Parse(const OpenArchive& from, const std::string& place, Status* failure) {
    const Reader reader(archive_read_new());
    const auto input = std::make_unique<Input>(Input{from.fd, {}});
    if (!reader) {
      *failure = SystemError(ENOMEM, "cannot read the archive");
      return {};
    }
    archive_read_support_format_tar(reader.get());
    SupportCompressions(reader.get());
    if (archive_read_open(reader.get(), input.get(), nullptr, &Input::Read, nullptr) !=
        ARCHIVE_OK) {
      *failure = input->is_empty ? Failed("it is empty") : Fail(reader.get());
      return {};
    }
    la_int64_t end = 0;  // of the last member
    for (;;) {
      archive_entry* entry = nullptr;
      const int read = archive_read_next_header(reader.get(), &entry);
      if (input->is_empty) *failure = Failed("it is empty");
      if (!failure->ok()) return {};
      if (read == ARCHIVE_EOF) {
        // An archive ends with blocks of zeros: else it could have had more members.
        const bool is_whole = archive_filter_bytes(reader.get(), 0) > end;
        if (!is_whole) *failure = Failed("it is cut short: it ends without an end of archive");
        return {};
      }
      // A warning is of a name in another character set. ARCHIVE_RETRY comes with no entry.
      *failure = read == ARCHIVE_OK || read == ARCHIVE_WARN ? Status() : Fail(reader.get());
      if (!failure->ok()) return {};
      VELAFS_TRY(Take(reader.get(), entry, place, failure));
      if (!failure->ok()) return {};
      if (archive_read_data_skip(reader.get()) != ARCHIVE_OK) {
        *failure = Fail(reader.get());
        return {};
      }
      end = archive_filter_bytes(reader.get(), 0);
    }
  }
  const Backup& backup() const { return backup_; }

 private:
  Status Take(archive* from, archive_entry* entry, const std::string& place, Status* failure) {
    Result<Member> member = MemberOf(entry);
    if (!member.ok()) {
      *failure = std::move(member).status();
      return {};
    }
    std::string* text = nullptr;
    if (place.empty()) {
      text = backup_.TextOf(*member);
      backup_.NotePlace(member->path);
    } else {
      backup_.GiveOwner(*member);
      member->path = place + member->path;
      if (member->kind == Member::Kind::kHardLink) member->target = place + member->target;
    }
    VELAFS_TRY(out_.Put(*member));
    if (member->kind != Member::Kind::kFile) return {};
    return CopyContent(from, *member, out_, failure, text);
  }

  store::MemberWriter& out_;
  Backup backup_;
};

}  // namespace

Status WriteMembers(const OpenArchive& first, const std::vector<OpenArchive>& others,
                    store::MemberWriter& out) {
  Parser parser(out);
  Status failure;
  VELAFS_TRY(parser.Parse(first, "", &failure));
  for (const OpenArchive& other : others) {
    if (!failure.ok()) break;
    const std::optional<std::string> place = parser.backup().PlaceOf(other.name);
    if (!place) continue;
    VELAFS_TRY(parser.Parse(other, *place, &failure));
    if (!failure.ok()) failure = std::move(failure).WithContext("\"" + other.name + ".tar\"");
  }
  return out.End(failure);
}

}  // namespace velafs::cli
