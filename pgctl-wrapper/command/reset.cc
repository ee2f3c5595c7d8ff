#include "pgctl-wrapper/command/reset.h"

#include <optional>

#include "pgctl-wrapper/command/commands.h"
#include "pgctl-wrapper/command/stop.h"
#include "pgctl-wrapper/server/session.h"

namespace velafs::pgctl {
namespace {

using nlohmann::json;

// The branch's server, stopped; how it was reached.
Result<std::optional<Reach>> StopIfRunning(Session& session, const Arguments& arguments,
                                           const Output& output) {
  VELAFS_ASSIGN(const Branch branch, session.Find(arguments.branch));
  VELAFS_ASSIGN(const Found found, FindServerOf(session, branch));
  const std::optional<Reach> before = ReachOf(found);
  if (before) VELAFS_TRY(StopFound(session, branch, found, arguments, output));
  return before;
}

}  // namespace

Result<int> ResetBranch(const Arguments& arguments, const Output& output) {
  VELAFS_ASSIGN(Session session, Session::Open(arguments.store));
  VELAFS_ASSIGN(const std::optional<Reach> before, StopIfRunning(session, arguments, output));
  json request = {{"name", arguments.branch}};
  if (!arguments.reset_to.empty()) request["to"] = arguments.reset_to;
  const Result<json> reset = session.Call("reset", request);
  json document = {{"branch", arguments.branch}, {"restarted", before.has_value()}};
  std::string text;
  if (reset.ok()) {
    document["source"] = reset->value("source", "");
    document["lost_bytes"] = reset->value("lost_bytes", uint64_t{0});
    document["bookmark"] = reset->value("bookmark", json());
    text = "reset branch \"" + arguments.branch + "\" to \"" + reset->value("source", "") + "\"\n";
    if (document["bookmark"].is_string()) {
      text += "its previous state is kept as \"" + document["bookmark"].get<std::string>() + "\"\n";
    }
  }
  if (before) {
    VELAFS_ASSIGN(const Target target, OpenTarget(session, arguments.branch));
    VELAFS_ASSIGN(const StartReport started,
                  StartTarget(session, target, arguments, before, output));
    document.update(started.document);
    text += started.text;
  }
  VELAFS_TRY(reset.status());
  output.Confirm(document, text);
  return 0;
}

}  // namespace velafs::pgctl
