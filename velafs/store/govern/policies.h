// Policies: rules for the branches of a store, of one tree, or for one branch; and approvals.
#pragma once

#include <array>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "velafs/base/mutex.h"
#include "velafs/base/named_values.h"
#include "velafs/base/status.h"
#include "velafs/catalog/catalog.h"

namespace velafs::store {

// The places of policies: the store, the tree of a source, a branch.
inline constexpr std::array kPolicyScopes = {
    NamedValue<catalog::SettingScope>{catalog::SettingScope::kStore, "store"},
    NamedValue<catalog::SettingScope>{catalog::SettingScope::kSource, "source"},
    NamedValue<catalog::SettingScope>{catalog::SettingScope::kBranch, "branch"},
};

struct PolicyValue {
  std::string key;
  std::string value;                          // empty: none
  std::optional<catalog::SettingScope> from;  // empty: the default
};

// The treatment of an expired branch: policy on_expire.
enum class OnExpire {
  kDelete,    // into the trash
  kBookmark,  // likewise, and its state stays as a bookmark of its parent
  kKeep,
};
inline constexpr std::array kOnExpire = {
    NamedValue<OnExpire>{OnExpire::kDelete, "delete"},
    NamedValue<OnExpire>{OnExpire::kBookmark, "bookmark"},
    NamedValue<OnExpire>{OnExpire::kKeep, "keep"},
};

// Where a policy is set: of a source for its whole tree, by the inode number of its top directory.
struct PolicyPlace {
  catalog::SettingScope scope = catalog::SettingScope::kStore;
  uint64_t subject = 0;

  auto operator<=>(const PolicyPlace&) const = default;
  static PolicyPlace OfStore() { return {}; }
  static PolicyPlace OfSource(const catalog::BranchRow& branch) {
    return {catalog::SettingScope::kSource, branch.root.value};
  }
  static PolicyPlace OfBranch(const catalog::BranchRow& branch) {
    return {catalog::SettingScope::kBranch, branch.id.value};
  }
  static PolicyPlace OfBookmark(const catalog::BookmarkRow& bookmark) {
    return {catalog::SettingScope::kBookmark, bookmark.id.value};
  }
};

// Thread-safe. Answers from memory: may be asked with any lock held.
class Policies {
 public:
  // The catalog is borrowed.
  explicit Policies(catalog::Catalog& catalog) : catalog_(catalog) {}
  // Reads them. Once, before anything else.
  Status Load();

  // The value nearest to the branch, or of the store when null: its own, its source's, the store's,
  // the default.
  PolicyValue Nearest(const std::string& key, const catalog::BranchRow* branch) const;
  std::string Get(const std::string& key, const catalog::BranchRow* branch) const;
  // Each policy there is, by key.
  std::vector<PolicyValue> Effective(const catalog::BranchRow* branch) const;
  std::optional<std::chrono::seconds> Duration(const std::string& key,
                                               const catalog::BranchRow* branch) const;

  std::optional<uint64_t> Size(const std::string& key, const catalog::BranchRow* branch) const;

  // By key; one without a value is unset.
  using Values = std::map<std::string, std::optional<std::string>>;
  // Usage for an unknown key, an invalid value, or a key that cannot be set at the place.
  static Status Check(const std::map<PolicyPlace, Values>& values);
  // Sets all of it, or, when Check finds fault, nothing. Durable on return.
  Status Set(const std::map<PolicyPlace, Values>& values);
  // The policies set there.
  std::map<std::string, std::string> SetAt(const PolicyPlace& place) const;

  // The setting that has the servers of a source isolated, to be put into the catalog in the
  // transaction that makes the source, whose top directory `root` is; it holds from now on. Nothing
  // when the store has a policy of its own for that.
  std::optional<catalog::SettingRow> IsolationOf(InodeNumber root);

  // The setting for a bookmark with a state of another branch, `of`, than the one it belongs to; an
  // approval of the latter does not cover it. Write it to the catalog together with the bookmark,
  // then pass it to Learn, which puts it in force.
  static catalog::SettingRow StateOfOther(BookmarkId bookmark, const std::string& of);
  // Has a setting that is in the catalog now hold from now on.
  void Learn(const catalog::SettingRow& row);
  bool IsOfOther(const catalog::BookmarkRow& bookmark) const;
  // The setting that isolates the servers of a place, for the transaction that makes the place.
  // Pass it to Learn, too.
  static catalog::SettingRow Isolated(const PolicyPlace& place);
  // For a branch that was purged together with its settings in the catalog.
  void Forget(const PolicyPlace& place);

  // Whether a user may take that state though it is not his.
  bool IsApproved(const catalog::BranchRow& branch, const catalog::BookmarkRow* bookmark) const;
  // The bookmark alone, whatever its branch is.
  bool IsApproved(const catalog::BookmarkRow& bookmark) const;
  Status SetApproved(const PolicyPlace& place, bool approved);
  // Whether the branch's server ran until the daemon's end, for policy autostart.
  bool HasRun(const catalog::BranchRow& branch) const;
  Status SetHasRun(const std::vector<catalog::BranchRow>& branches, bool has_run);

 private:
  using Key = std::tuple<catalog::SettingScope, uint64_t, std::string>;
  std::optional<std::string> Find(const PolicyPlace& place, const std::string& key) const
      REQUIRES(mutex_);
  std::string DefaultOf(const std::string& key) const REQUIRES(mutex_);
  PolicyValue FindNearest(const std::string& key, const catalog::BranchRow* branch) const
      REQUIRES(mutex_);
  Status Put(const std::map<PolicyPlace, Values>& values);

  catalog::Catalog& catalog_;
  Mutex change_mutex_;  // held by a change; taken before mutex_
  mutable Mutex mutex_;
  std::map<Key, std::string> settings_ GUARDED_BY(mutex_);
};

}  // namespace velafs::store
