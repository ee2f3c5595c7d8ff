#include "velafs/store/branch_tablespaces.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "velafs/store/import/source_links.h"
#include "velafs/store/import/source_tree.h"

namespace velafs::store {
namespace {

using layer::Attributes;
using layer::Branch;

// Nothing when there is no such name.
Result<std::optional<Attributes>> TryLookup(Branch& branch, InodeNumber directory,
                                            const std::string& name) {
  Result<Attributes> found = branch.Lookup(directory, name);
  if (found.ok()) return std::optional(*found);
  if (found.status().error_number() == ENOENT) return std::optional<Attributes>();
  return std::move(found).status();
}

Result<std::optional<Attributes>> LinksDirectory(Branch& branch) {
  VELAFS_ASSIGN(auto links, TryLookup(branch, branch.root(), kTablespaceLinks));
  if (links && !S_ISDIR(links->mode)) links.reset();
  return links;
}

std::string OldTarget(const std::string& oid) {
  return std::string("../") + kOldTablespaces + "/" + oid;
}

}  // namespace

Result<std::vector<Tablespace>> ListTablespaces(Branch& branch) {
  VELAFS_ASSIGN(const auto links, LinksDirectory(branch));
  std::vector<Tablespace> tablespaces;
  if (!links) return tablespaces;
  std::vector<std::pair<std::string, Attributes>> found;
  VELAFS_TRY(branch.List(
      links->ino, {},
      [&](layer::DirectoryCookie, const std::string& name, const Attributes& attributes) {
        if (name != "." && name != "..") found.emplace_back(name, attributes);
        return true;
      }));
  for (const auto& [name, attributes] : found) {
    Tablespace tablespace{name, TablespaceForm::kInside, ""};
    if (S_ISLNK(attributes.mode)) {
      VELAFS_ASSIGN(tablespace.target, branch.ReadLink(attributes.ino));
      if (tablespace.target == OldTarget(name)) {
        tablespace.form = TablespaceForm::kOldLink;
      } else if (!StaysInside(tablespace.target, 1)) {
        tablespace.form = TablespaceForm::kLeadsOut;
      }
    }
    tablespaces.push_back(std::move(tablespace));
  }
  std::ranges::sort(tablespaces, {}, &Tablespace::oid);
  return tablespaces;
}

Result<std::optional<Attributes>> OldTablespace(Branch& branch, const std::string& target) {
  constexpr std::optional<Attributes> kNone;
  const std::string oid = target.substr(target.rfind('/') + 1);
  if (target != OldTarget(oid)) return kNone;
  VELAFS_ASSIGN(const auto all, TryLookup(branch, branch.root(), kOldTablespaces));
  if (!all || !S_ISDIR(all->mode)) return kNone;
  VELAFS_ASSIGN(const auto tablespace, TryLookup(branch, all->ino, oid));
  return tablespace && S_ISDIR(tablespace->mode) ? tablespace : kNone;
}

Result<os::Credentials> DataOwner(Branch& branch) {
  if (branch.shown_as()) return os::Credentials{branch.shown_as()->uid, branch.shown_as()->gid};
  VELAFS_ASSIGN(const Attributes version, branch.Lookup(branch.root(), "PG_VERSION"));
  return os::Credentials{version.uid, version.gid};
}

Status ReplaceOldLink(Branch& branch, const std::string& oid) {
  VELAFS_ASSIGN(const auto links, LinksDirectory(branch));
  VELAFS_ASSIGN(const Attributes all, branch.Lookup(branch.root(), kOldTablespaces));
  if (!links) return Corrupt("there is no directory pg_tblspc");
  VELAFS_TRY(branch.Rename(all.ino, oid, links->ino, oid, layer::RenameMode::kExchange));
  VELAFS_TRY(branch.Unlink(all.ino, oid));
  // It stays if it holds another tablespace.
  if (Status gone = branch.RemoveDirectory(branch.root(), kOldTablespaces);
      !gone.ok() && gone.error_number() != ENOTEMPTY) {
    return gone;
  }
  VELAFS_TRY(branch.Sync(links->ino, os::SyncKind::kFull));
  return branch.Sync(branch.root(), os::SyncKind::kFull);
}

Status AllowInPlace(Branch& branch) {
  VELAFS_ASSIGN(const auto file, TryLookup(branch, branch.root(), "postgresql.auto.conf"));
  if (!file || !S_ISREG(file->mode)) return {};
  const std::string line = std::string("\n") + kAllowInPlace;
  VELAFS_TRY(branch.Write(file->ino, file->size_bytes, std::as_bytes(std::span(line))));
  return branch.Sync(file->ino, os::SyncKind::kFull);
}

}  // namespace velafs::store
