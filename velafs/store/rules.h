// Checks of several verbs, with their messages.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "velafs/base/status.h"
#include "velafs/base/text.h"
#include "velafs/base/units.h"
#include "velafs/catalog/catalog.h"
#include "velafs/catalog/rows.h"
#include "velafs/store/caller.h"

namespace velafs::store {

struct StoreContext;

// NotFound. Its hint names the nearest branch, or says that the trash has the branch.
Status NoBranch(catalog::Reader& reader, const std::string& name);

// Refused to all but the branch's owner and admins.
Status CheckMayChange(const Caller& caller, const catalog::BranchRow& branch);
// Refused while a server runs on it.
Status CheckNotRunning(StoreContext& context, const catalog::BranchRow& branch);
// Refused when `branch` has so many bookmarks already that only an admin makes more.
Status CheckMayAddBookmark(const Caller& caller, const catalog::BranchRow& branch, size_t count);

bool IsProtected(const catalog::BranchRow& branch, TimeNs now);
Status CheckNotProtected(const catalog::BranchRow& branch);
// Likewise, but the protection that import gives a source does not count: a promotion onto it keeps
// its state.
Status CheckMayPromoteOnto(const catalog::BranchRow& branch);

// `branch` gets the content of `origin`: code that a user wrote there runs only with that user's
// rights, unless an admin decides otherwise.
void TakeRights(const Caller& caller, const catalog::BranchRow& origin, catalog::BranchRow* branch);

// Checks texts of a branch or bookmark; Usage if one is not allowed. A note is free text of at most
// 8 KiB. An owner, a label's key and its value are words (CheckWord) of at most 255, 63 and 1024
// bytes, of which only the value may be empty; that of `pool` is the name of one.
Status CheckNote(const std::string& note);
Status CheckOwner(const std::string& owner);
Status CheckLabel(const std::string& key, const std::string& value);
// A branch has at most 64 labels, of 16 KiB in all: each list of branches has them.
Status CheckLabels(const std::map<std::string, std::string>& labels);
// Removes the labels `pool` and `pool-...`: a user's pools consist of the user's own branches, and
// labels of another user must not add a branch to them.
void LeavePool(catalog::BranchRow* branch);

// `now` plus the duration; empty without one. Usage if it is not a duration, or out of range.
Result<std::optional<TimeNs>> TimeAfter(TimeNs now, std::optional<std::chrono::seconds> duration);

}  // namespace velafs::store
