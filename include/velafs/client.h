// Calls a store's verbs from another program: through the store's daemon when one runs, in this
// process otherwise.
//
//   auto client = velafs::Client::Connect("/var/lib/velafs");
//   auto branch = (*client)->Call("clone", {{"source", "main"}, {"name", "pr-42"}});
//
// Verbs, their arguments and results are those of the HTTP API: velafs/api/API.md.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "velafs/base/status.h"
#include "velafs/base/streams.h"

namespace velafs {

// One progress event of a long verb, e.g. {"bytes_done":1,"bytes_total":9}. Returning false asks
// the verb to stop; it then fails and leaves nothing behind.
using ProgressFn = std::function<bool(const nlohmann::json& event)>;

// Byte streams beside arguments and result, for the verbs that have them (API.md).
struct Streams {
  // To the verb; its failure ends the verb, and is the call's. It may be called by another thread.
  ReadFn in = nullptr;
  // Called once the verb stops reading; a waiting `in` must then return.
  std::function<void()> stop_in = nullptr;
  // From the verb; its failure ends the verb, and is the call's.
  WriteFn out = nullptr;
};

// One thread at a time.
class Client {
 public:
  // Fails with NotFound when `store_directory` holds no store; Locked, naming the holder's pid,
  // if another process has it open and does not serve it; Unreachable when its daemon does not
  // answer. Waits up to three seconds for another command to finish.
  static Result<std::unique_ptr<Client>> Connect(const std::string& store_directory);
  virtual ~Client() = default;

  // Runs a verb to its end; returns its JSON result. A failure has the verb's own code, message,
  // hint.
  virtual Result<nlohmann::json> Call(const std::string& verb, const nlohmann::json& arguments,
                                      const ProgressFn& progress = nullptr,
                                      const Streams& streams = {}) = 0;
  // The same for a result that is only passed on, which may be large: the text of its JSON, on one
  // line.
  virtual Result<std::string> CallForText(const std::string& verb,
                                          const nlohmann::json& arguments) = 0;
  // True when a daemon serves the store (which is when it may be mounted).
  virtual bool is_remote() const = 0;
};

// `--store`'s value if not empty, else $VELAFS_STORE, else /var/lib/velafs for root and
// ${XDG_DATA_HOME:-~/.local/share}/velafs for others. Absolute.
std::string StoreDirectory(const std::string& option);

}  // namespace velafs
