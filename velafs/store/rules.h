// What several verbs check, and how they say it.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "velafs/base/status.h"
#include "velafs/base/units.h"
#include "velafs/catalog/rows.h"

namespace velafs::store {

std::string Quoted(const std::string& text);

Status NoBranch(const std::string& name);

bool IsProtected(const catalog::BranchRow& branch, TimeNs now);
Status CheckNotProtected(const catalog::BranchRow& branch);

// Usage unless a label may have that key.
Status CheckLabel(const std::string& key);

// `now` and the duration; empty without one. Usage when that is none, or out of range.
Result<std::optional<TimeNs>> TimeAfter(TimeNs now, std::optional<std::chrono::seconds> duration);

}  // namespace velafs::store
