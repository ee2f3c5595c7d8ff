// The verbs of a store by name, with JSON arguments and results: the one place behind the HTTP API
// and the in-process client. API.md lists them.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "velafs/base/status.h"
#include "velafs/client.h"
#include "velafs/store/caller.h"

namespace velafs::store {
class Store;
}  // namespace velafs::store

namespace velafs::api {

// The least time between two progress events of a verb.
inline constexpr int kProgressIntervalMs = 100;

// Runs `verb` to its end. kRefused, saying who may, if the caller's role does not allow it. kUsage
// for an unknown verb or wrong arguments, before anything is done. `progress` may be null; it is
// also how a verb learns, between events, that it is to stop. A verb that changes something has its
// entry in the audit log on return, also when it was refused or failed. Throws nothing.
// Thread-safe.
Result<nlohmann::json> RunVerb(store::Store& store, const store::Caller& caller,
                               const std::string& verb, const nlohmann::json& arguments,
                               const ProgressFn& progress, const Streams& streams = {});

// Runs "scrub" on a store that no process has open, without opening it: that would recover it
// first.
Result<nlohmann::json> RunScrubOfClosedStore(const std::string& store_directory,
                                             const nlohmann::json& arguments,
                                             const ProgressFn& progress);

// The verbs that RunVerb knows.
std::vector<std::string_view> VerbNames();

// A verb that only a daemon has: it ends the daemon. Only admins may call it.
inline constexpr char kUmountVerb[] = "umount";

// A caller with the user name of `uid`.
store::Caller CallerOf(uint32_t uid);

}  // namespace velafs::api
