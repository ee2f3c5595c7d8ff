// `velafs metrics`: numbers for a monitoring system, in Prometheus' text format.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "velafs/base/units.h"
#include "velafs/cli/command.h"
#include "velafs/cli/render_json.h"
#include "velafs/os/unique_fd.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

class Metrics {
 public:
  // Its samples follow.
  void Begin(const std::string& name, const std::string& help, const char* type = "gauge") {
    all_.push_back(
        {{"name", "velafs_" + name}, {"help", help}, {"type", type}, {"samples", json::array()}});
  }
  void Add(const json& value, const json& labels = json::object()) {
    all_.back()["samples"].push_back({{"labels", labels}, {"value", value}});
  }
  void One(const std::string& name, const std::string& help, const json& value,
           const char* type = "gauge") {
    Begin(name, help, type);
    Add(value);
  }
  // What a reader computes percentiles of: `count` of those up to each bound, and of all.
  void Histogram(const std::string& name, const std::string& help, const json& measured) {
    Begin(name, help, "histogram");
    for (const json& bucket : measured.at("buckets")) {
      AddPart("_bucket", bucket.at("count"), {{"le", bucket.at("seconds").dump()}});
    }
    AddPart("_bucket", measured.at("count"), {{"le", "+Inf"}});
    AddPart("_sum", measured.at("seconds"));
    AddPart("_count", measured.at("count"));
  }
  json Document() const { return {{"metrics", all_}}; }

 private:
  void AddPart(const char* suffix, const json& value, const json& labels = json::object()) {
    Add(value, labels);
    all_.back()["samples"].back()["suffix"] = suffix;
  }

  json all_ = json::array();
};

std::string InQuotes(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c == '\n' ? ' ' : c;
  }
  return quoted + "\"";
}

std::string RenderMetrics(const json& document, const Style&) {
  std::string text;
  for (const json& metric : document.at("metrics")) {
    const auto name = metric["name"].get<std::string>();
    text += "# HELP " + name + " " + metric["help"].get<std::string>() + "\n";
    text += "# TYPE " + name + " " + metric["type"].get<std::string>() + "\n";
    for (const json& sample : metric["samples"]) {
      std::string labels;
      for (const auto& [key, value] : sample["labels"].items()) {
        labels += (labels.empty() ? "{" : ",") + key + "=" + InQuotes(value.get<std::string>());
      }
      if (!labels.empty()) labels += "}";
      text += name + sample.value("suffix", "") + labels + " " + sample["value"].dump() + "\n";
    }
  }
  return text;
}

struct UserMetric {
  const char* key;
  const char* name;
  const char* help;
};
constexpr UserMetric kUserMetrics[] = {
    {"branches", "user_branches", "Branches the user owns"},
    {"trashed", "user_trashed_branches", "Branches of the user's in the trash"},
    {"own_bytes", "user_own_bytes", "Bytes on disk for the user's branches alone"},
    {"names", "user_names", "Names of files that the user's branches alone hold"},
    {"calls_running", "user_calls_running", "Calls of the user's that run, unless an admin's"},
    {"calls_waiting", "user_calls_waiting", "Calls of the user's that wait for others to end"},
    {"failures_folded", "user_failures_unlogged",
     "Failed calls of the user's that have no entry in the audit log yet"},
};

// A monitoring system keeps a series for each: the users with most on disk are named, and what the
// others have is added up.
void AddUsers(const json& users, Metrics& metrics) {
  constexpr size_t kMostUsers = 50;
  std::vector<std::pair<std::string, json>> rows;
  for (const auto& [name, user] : users.items()) rows.emplace_back(name, user);
  std::ranges::stable_sort(rows, std::ranges::greater(), [](const auto& row) {
    return row.second.value("own_bytes", uint64_t{0});
  });
  for (const UserMetric& metric : kUserMetrics) {
    metrics.Begin(metric.name, metric.help);
    uint64_t of_others = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto value = rows[i].second.value(metric.key, uint64_t{0});
      if (i < kMostUsers) {
        metrics.Add(value, {{"user", rows[i].first}});
      } else {
        of_others += value;
      }
    }
    if (rows.size() > kMostUsers) metrics.Add(of_others, {{"user", "(others)"}});
  }
}

std::optional<int64_t> SecondsOf(const json& time) {
  if (!time.is_string()) return std::nullopt;
  const auto at = ParseTime(time.get<std::string>());
  return at.ok() ? std::optional(*at / 1'000'000'000) : std::nullopt;
}

void AddTime(const std::string& name, const std::string& help, const json& time, Metrics& metrics) {
  if (const auto seconds = SecondsOf(time)) metrics.One(name, help, *seconds);
}

// Counters of the answering process: the daemon, if one serves the store.
void AddCounters(const json& counters, bool is_daemon, Metrics& metrics) {
  metrics.One("disk_free_bytes", "Bytes free for everybody on the store's filesystem",
              counters.at("disk_free_bytes"));
  metrics.One("disk_size_bytes", "Size of the store's filesystem", counters.at("disk_size_bytes"));
  AddTime("catalog_copy_timestamp_seconds", "When the newest copy of the catalog was made",
          counters.at("catalog_copied_at"), metrics);
  if (!is_daemon) return;
  AddTime("daemon_start_timestamp_seconds", "When the daemon started", counters.at("started_at"),
          metrics);
  metrics.One("daemon_memory_bytes", "Memory of the daemon", counters.at("memory_bytes"));
  metrics.One("daemon_cpu_seconds_total", "Processor time of the daemon",
              counters.at("cpu_seconds"), "counter");
  metrics.One("requests_total", "Requests of the kernel for files of the mount",
              counters.at("requests"), "counter");
  metrics.Begin("request_errors_total", "Requests that failed for want of space or of a whole disk",
                "counter");
  for (const auto& [name, count] : counters.at("errors").items()) {
    metrics.Add(count, {{"error", name}});
  }
  metrics.Histogram("fsync_duration_seconds", "How long an fsync takes", counters.at("fsync"));
  metrics.One("failed_branches",
              "Branches that take no change until the store is mounted anew: an fsync failed there",
              counters.at("failed_branches"));
}

// The last scrub of a store that was in use, as the audit log has it. Only admins may ask.
void AddScrub(Client& client, Metrics& metrics) {
  const auto log = client.Call("audit", {{"verb", "scrub"}, {"limit", 1}});
  if (!log.ok() || log->at("entries").empty()) return;
  const json& last = log->at("entries").back();
  AddTime("scrub_timestamp_seconds", "When the last scrub of a daemon's began", last.at("at"),
          metrics);
  const bool is_good = last.at("result") == "done" && !last.at("detail").contains("corrupt");
  metrics.One("scrub_damaged", "1 if the last scrub of a daemon's found damage, or failed",
              is_good ? 0 : 1);
}

Result<json> Collect(Client& client) {
  VELAFS_ASSIGN(const json status, client.Call("status", json::object()));
  VELAFS_ASSIGN(const json stats, client.Call("stats", json::object()));
  VELAFS_ASSIGN(const json list, client.Call("list", json::object()));
  VELAFS_ASSIGN(const json counters, client.Call("counters", json::object()));
  Metrics metrics;
  metrics.Begin("info", "Version of velafs");
  metrics.Add(1, {{"version", status["version"]}});
  metrics.One("mounted", "1 while the store is mounted", status["mountpoint"].is_string() ? 1 : 0);
  metrics.One("branches", "Branches", stats["branches"]);
  metrics.One("bookmarks", "Bookmarks", stats["bookmarks"]);
  metrics.One("trashed_branches", "Branches in the trash", stats["trashed"]);
  metrics.One("logical_bytes", "Sum of the sizes of all branches", stats["logical_bytes"]);
  metrics.One("stored_bytes", "Bytes on disk of packs and layers", stats["stored_bytes"]);
  metrics.One("chunks", "Chunks stored", stats["chunk_count"]);
  metrics.One("total_bytes", "Bytes on disk of the whole store", stats["total_bytes"]);
  metrics.Begin("part_bytes", "Bytes on disk of a part of the store");
  for (const auto& [part, bytes] : stats["disk_bytes"].items()) {
    metrics.Add(bytes, {{"part", part}});
  }
  AddCounters(counters, client.is_remote(), metrics);
  AddScrub(client, metrics);

  const auto of_branches = [&](const std::string& name, const std::string& help, auto value_of) {
    metrics.Begin("branch_" + name, help);
    for (const json& branch : list["branches"]) {
      const json value = value_of(branch);
      if (!value.is_null()) metrics.Add(value, {{"branch", branch["name"]}});
    }
  };
  const auto field = [](const char* key) { return [key](const json& of) { return of[key]; }; };
  of_branches("own_bytes", "Bytes on disk for the branch alone", field("own_bytes"));
  of_branches("logical_bytes", "Sum of the sizes of the branch's files", field("logical_bytes"));
  of_branches("quota_bytes", "What the branch may take on disk", field("quota_bytes"));
  of_branches("running", "1 while a server runs on the branch",
              [](const json& branch) { return json(branch["state"] == "running" ? 1 : 0); });
  of_branches("expires_timestamp_seconds", "When the branch expires",
              [](const json& branch) -> json {
                const auto seconds = SecondsOf(branch["expires_at"]);
                return seconds ? json(*seconds) : json();
              });
  AddUsers(stats.value("users", json::object()), metrics);
  return metrics.Document();
}

// Whoever reads `path` meanwhile gets the old file or the new one, never a part.
Status ReplaceFile(const std::string& path, const std::string& text) {
  // A name that nobody can have put there before: the directory may be another user's.
  std::string temporary = path + ".XXXXXX";
  const os::UniqueFd file(mkostemp(temporary.data(), O_CLOEXEC));
  if (!file) return SystemError(errno, "cannot write beside \"" + path + "\"");
  const bool is_written =
      write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      fchmod(file.get(), 0644) == 0 && fsync(file.get()) == 0 &&
      std::rename(temporary.c_str(), path.c_str()) == 0;
  if (is_written) return {};
  Status failure = SystemError(errno, "cannot replace \"" + path + "\"");
  std::remove(temporary.c_str());
  return failure;
}

Status RunMetrics(const Globals& globals, const std::string& to) {
  VELAFS_ASSIGN(const auto client, globals.Connect());
  VELAFS_ASSIGN(const json metrics, Collect(*client));
  if (to.empty()) return PrintResult(globals, metrics, RenderMetrics);
  VELAFS_TRY(ReplaceFile(to, globals.json ? RenderJson(metrics) : RenderMetrics(metrics, Style{})));
  return PrintConfirmation(globals, {{"to", to}}, "wrote \"" + to + "\"");
}

}  // namespace

void AddMetrics(CommandLine& line) {
  CLI::App* command = line.Add("metrics", "Print numbers for a monitoring system (Prometheus)",
                               "velafs metrics --to /var/lib/node_exporter/velafs.prom");
  const auto to = std::make_shared<std::string>();
  command
      ->add_option(
          "--to", *to,
          "Write to FILE instead, which is replaced in one step: no reader sees a part of it")
      ->type_name("FILE")
      ->check(NotEmpty());
  line.OnRun(command, [to](const Globals& globals) { return RunMetrics(globals, *to); });
}

}  // namespace velafs::cli
