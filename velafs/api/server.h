// A store's verbs as HTTP/1.1 on its Unix socket. API.md describes the protocol.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "velafs/api/workers.h"
#include "velafs/base/status.h"
#include "velafs/client.h"

namespace velafs::store {
class Store;
}  // namespace velafs::store

namespace velafs::api {

// Limits on guests: callers who are neither root, nor the user the store runs as, nor admins.
struct ServerLimits {
  WorkerLimits workers = {};
  // The time in which a guest must read an answer, or a piece of an export.
  std::chrono::milliseconds stall = std::chrono::seconds(60);
  // How many long answers of one guest may be in memory at a time.
  size_t long_answers_each = 2;
};

// Thread-safe.
class Server {
 public:
  // A verb that the serving process adds to the store's own. Called on several threads.
  using ExtraVerb = std::function<Result<nlohmann::json>(const nlohmann::json& arguments,
                                                         const ProgressFn& progress)>;
  using ExtraVerbs = std::map<std::string, ExtraVerb>;

  // Answers on StorePaths::Socket() (a socket left there by a dead process is replaced) until Stop,
  // on threads of its own. The store is borrowed; the caller holds its lock. The socket's mode is
  // 0600, or 0666 while policies give other users a role; users without a role are refused. Only
  // admins may call the verbs added here, and each call leaves an entry in the audit log.
  static Result<std::unique_ptr<Server>> Start(store::Store& store, ExtraVerbs extra_verbs,
                                               const ServerLimits& limits = {});
  // Stops.
  virtual ~Server() = default;

  // Refuses new calls, asks running ones to stop, waits for them, and removes the socket. A verb
  // must not call it.
  virtual void Stop() = 0;

  // The calls that have got their turn so far, refused ones included: while it grows, it is alive.
  virtual uint64_t served() const = 0;
};

}  // namespace velafs::api
