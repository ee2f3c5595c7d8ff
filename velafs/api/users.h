// Each user's use of a store and of its daemon.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>

#include "velafs/api/workers.h"
#include "velafs/base/status.h"

namespace velafs::store {
class Store;
}  // namespace velafs::store

namespace velafs::api {

// By name: {"branches","trashed","own_bytes","names","failures_folded"}.
Result<nlohmann::json> UsersToJson(store::Store& store);
// Adds {"calls_running","calls_waiting"}, of guests, to what UsersToJson has returned.
void AddCalls(const std::map<uint32_t, Workers::Load>& loads, nlohmann::json* users);

}  // namespace velafs::api
