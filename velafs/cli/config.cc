// `velafs config show` and `check`: the configuration file, and what holds because of it.
#include "velafs/cli/config.h"

#include "velafs/api/configuration.h"
#include "velafs/cli/settings.h"
#include "velafs/cli/table.h"

namespace velafs::cli {
namespace {

using nlohmann::json;

json OrNull(const std::string& text) { return text.empty() ? json() : json(text); }

json ToJson(const Settings& settings) {
  json list = json::array();
  for (const Setting& one : settings.all) {
    list.push_back({{"key", one.key}, {"value", OrNull(one.value)}, {"from", one.from}});
  }
  return {{"file", OrNull(settings.file)},
          {"applies", settings.is_about_it},
          {"settings", std::move(list)}};
}

std::string RenderSettings(const json& result, const Style& style) {
  Table table({Align::kLeft, Align::kLeft, Align::kLeft});
  table.AddRow({{"setting", &Style::Dim}, {"value", &Style::Dim}, {"from", &Style::Dim}});
  for (const json& one : result.at("settings")) {
    const std::string value = one["value"].is_null() ? "-" : one["value"].get<std::string>();
    table.AddRow({{one["key"].get<std::string>()}, {value}, {one["from"].get<std::string>()}});
  }
  std::string text = table.Render(style);
  if (result["file"].is_null()) return text + "there is no configuration file\n";
  if (result["applies"] == true) return text;
  return text + "\"" + result["file"].get<std::string>() + "\" is for another store\n";
}

Status RunShow(const Globals& globals) {
  VELAFS_ASSIGN(const Settings settings, LoadSettings(globals));
  return PrintResult(globals, ToJson(settings), RenderSettings);
}

Status RunCheck(const Globals& globals, const std::string& path) {
  VELAFS_ASSIGN(const api::Configuration file, api::Configuration::Read(path));
  json set = json::object();
  for (const api::ConfigurationKey& key : api::ConfigurationKeys()) {
    if (const auto value = file.Find(key.name)) set[key.name] = *value;
  }
  return PrintConfirmation(globals, {{"file", path}, {"set", std::move(set)}},
                           "\"" + path + "\" is a good configuration file");
}

}  // namespace

void AddConfig(CommandLine& line) {
  CLI::App* config = line.Add("config", "Show and check the configuration file",
                              "velafs config show\n  velafs config check /etc/velafs/velafs.conf");
  config->require_subcommand(1);
  CLI::App* show = line.Add("show", "Show each setting, and where it comes from",
                            "velafs config show\n  velafs config show --json", config);
  line.OnRun(show, RunShow);

  CLI::App* check = line.Add("check", "Check a configuration file; exit status 2 if it is wrong",
                             "velafs config check /etc/velafs/velafs.conf", config);
  const auto path = std::make_shared<std::string>();
  check->add_option("FILE", *path, "Configuration file")
      ->required()
      ->type_name("")
      ->check(NotEmpty());
  line.OnRun(check, [path](const Globals& globals) { return RunCheck(globals, *path); });
}

}  // namespace velafs::cli
