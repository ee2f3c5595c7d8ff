// The names of an archive, put together as its members come.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/store/import/member_stream.h"
#include "velafs/store/import/source.h"

namespace velafs::store {

struct FileOwner {
  uid_t uid = 0;
  gid_t gid = 0;
};

// One thread.
class MemberTree {
 public:
  // The destination of a member's content: none, the spool for members whose fate is decided at the
  // end of the archive, or the store.
  enum class Content { kNone, kSpooled, kStored };
  struct Added {
    uint32_t entry = 0;
    Content content = Content::kNone;
  };

  // `archive` is its name, for messages. With an owner, all is his, whatever the archive says.
  MemberTree(std::string archive, std::optional<FileOwner> owner);

  // Refused for a path or link that leads out of the archive, or through a link or file; for
  // members that occur twice; and for names that cannot be stored. Directories that no member makes
  // are made. setuid and setgid bits of files are left out, and FIFOs.
  Result<Added> Add(const Member& member);
  size_t size() const { return source_.entries.size(); }

  // Once, after the last member: the PGDATA that the archive is, or that is its only directory.
  // `spool` has the content of members that were kSpooled; the directory that `options` name is
  // read with the rights of `config`. Refused if it is not a PGDATA, or an incomplete backup.
  Result<Source> Finish(Spool spool, const ImportOptions& options, const ConfigReader& config);

 private:
  struct Key {
    uint32_t directory;
    std::string name;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const;
  };
  using Steps = std::vector<std::string_view>;

  Status MakeEntry(const Member& member, const Steps& steps, uint32_t directory, uint32_t* entry);
  Status FillDirectory(uint32_t entry, const Member& member);
  Status FillHardLink(uint32_t entry, const Member& member);
  // The directory that the first `count` steps lead to, made where it is missing.
  Result<uint32_t> Enter(const Steps& steps, size_t count);
  uint32_t AddEntry(uint32_t directory, std::string_view name);
  std::optional<uint32_t> Find(uint32_t directory, std::string_view name) const;
  std::optional<uint32_t> FindPath(const Steps& steps) const;
  void Fill(uint32_t entry, const Member& member, mode_t mode);

  // Steps of Finish.
  void ChooseRoot();
  Status BringInTablespaces();
  void LeaveOut();
  Status MakeFirstNames();
  void GiveOwners();
  Status CheckLinks(LinksOut links_out);
  void WarnOfLeftOut();

  const std::optional<FileOwner> owner_;
  Source source_;
  std::unordered_map<Key, uint32_t, KeyHash> names_;
  size_t text_bytes_ = 0;
  std::vector<bool> is_filled_;        // by entry: a member says what it is
  std::vector<std::string> left_out_;  // paths of FIFOs, the first ones
  uint64_t left_out_count_ = 0;
};

}  // namespace velafs::store
