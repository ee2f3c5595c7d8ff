// `velafs expire` and `velafs ttl`: branches that go by themselves.
#include "velafs/base/units.h"
#include "velafs/cli/command.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

struct TtlArguments {
  std::string name;
  std::string ttl;
};

Status RunTtl(const Globals& globals, const TtlArguments& given) {
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json branch, client->Call("ttl", {{"name", given.name}, {"ttl", given.ttl}}));
  const json& at = branch["expires_at"];
  return PrintConfirmation(
      globals, branch,
      "\"" + given.name + "\" " +
          (at.is_string() ? "expires " + at.get<std::string>() : std::string("does not expire")));
}

std::string RenderExpired(const json& expired) {
  const std::string did = expired["dry_run"].get<bool>() ? "would delete" : "deleted";
  std::string text;
  for (const json& name : expired["stopped"]) {
    text += "stopped the server on \"" + name.get<std::string>() + "\"\n";
  }
  for (const json& branch : expired["branches"]) {
    text += did + " \"" + branch["name"].get<std::string>() + "\" (" +
            FormatSize(branch["own_bytes"].get<uint64_t>()) + ")\n";
  }
  for (const json& bookmark : expired["saved"]) {
    text += std::string(expired["dry_run"].get<bool>() ? "would keep" : "kept") +
            " the state of an expired branch as bookmark \"" + bookmark.get<std::string>() + "\"\n";
  }
  for (const json& bookmark : expired["bookmarks"]) {
    text += did + " bookmark \"" + bookmark.get<std::string>() + "\"\n";
  }
  for (const json& kept : expired["kept"]) {
    text += "kept \"" + kept["name"].get<std::string>() + "\": " + kept["why"].get<std::string>() +
            "\n";
  }
  if (text.empty()) return "nothing has expired";
  text.pop_back();
  return text;
}

Status RunExpire(const Globals& globals, bool dry_run) {
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json expired, client->Call("expire", {{"dry_run", dry_run}}));
  return PrintConfirmation(globals, expired, RenderExpired(expired));
}

}  // namespace

void AddExpire(CommandLine& line) {
  CLI::App* expire = line.Add(
      "expire",
      "Delete expired branches and bookmarks now; the daemon does it by itself every few seconds",
      "velafs expire --dry-run");
  const auto dry_run = std::make_shared<bool>(false);
  expire->add_flag("--dry-run", *dry_run, "Only say what would be deleted");
  line.OnRun(expire, [dry_run](const Globals& globals) { return RunExpire(globals, *dry_run); });

  CLI::App* ttl = line.Add("ttl", "Set how long from now a branch lives",
                           "velafs ttl pr-42 12h\n  velafs ttl pr-42 none");
  const auto given = std::make_shared<TtlArguments>();
  ttl->add_option("NAME", given->name, "Branch")->required()->type_name("");
  ttl->add_option("DURATION", given->ttl, "Lifetime, as in 90s 30m 12h 7d, or none")
      ->required()
      ->type_name("");
  line.OnRun(ttl, [given](const Globals& globals) { return RunTtl(globals, *given); });
}

}  // namespace velafs::cli
