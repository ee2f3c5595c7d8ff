#include "velafs/candidates.h"

#include <pwd.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iterator>
#include <set>
#include <sstream>
#include <string_view>

#include "velafs/client.h"
#include "velafs/configuration.h"
#include "velafs/store/users.h"

namespace velafs {
namespace {

using nlohmann::json;
using std::string_view;
using Words = std::vector<std::string>;

constexpr char kFiles[] = ":files";
constexpr char kDirectories[] = ":directories";
constexpr char kCommands[] = ":commands";

bool TakesValue(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

// The command itself and its groups of options, which have no name.
std::vector<const CLI::App*> GroupsOf(const CLI::App& command) {
  std::vector<const CLI::App*> groups = {&command};
  for (const CLI::App* next : command.get_subcommands({})) {
    if (next->get_name().empty()) groups.push_back(next);
  }
  return groups;
}

std::vector<const CLI::Option*> OptionsOf(const CLI::App& command) {
  std::vector<const CLI::Option*> options;
  for (const CLI::App* group : GroupsOf(command)) {
    for (const CLI::Option* option : group->get_options()) options.push_back(option);
  }
  return options;
}

const CLI::Option* OptionNamed(const CLI::App& command, const std::string& word) {
  for (const CLI::App* at = &command; at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* option : OptionsOf(*at)) {
      if (!option->get_positional() && option->check_name(word)) return option;
    }
  }
  return nullptr;
}

const CLI::App* CommandNamed(const CLI::App& command, const std::string& word) {
  for (const CLI::App* next : command.get_subcommands({})) {
    if (!next->get_name().empty() && next->check_name(word)) return next;
  }
  return nullptr;
}

// Where in the command line the last word stands.
struct Place {
  const CLI::App* command;
  const CLI::Option* value_of = nullptr;  // the option before it wants it
  size_t arguments = 0;                   // words before it that belong to the command alone
  bool is_after_dashes = false;
};

Place PlaceOf(const CLI::App& app, const Words& words) {
  Place place{&app};
  for (auto word = words.begin(); word + 1 < words.end(); ++word) {
    if (place.is_after_dashes) {
      ++place.arguments;
    } else if (place.value_of != nullptr) {
      place.value_of = nullptr;
    } else if (*word == "--") {
      place = {place.command, nullptr, 0, true};
    } else if (word->starts_with("-")) {
      const CLI::Option* option = OptionNamed(*place.command, *word);
      if (option != nullptr && TakesValue(*option)) place.value_of = option;
    } else if (const CLI::App* next = CommandNamed(*place.command, *word)) {
      place = {next};
    } else {
      ++place.arguments;
    }
  }
  return place;
}

// Of the command's arguments the one at `index`, or the last where it takes any number.
const CLI::Option* ArgumentAt(const CLI::App& command, size_t index) {
  for (const CLI::Option* option : OptionsOf(command)) {
    if (!option->get_positional()) continue;
    if (index == 0 || option->get_items_expected_max() > 1) return option;
    --index;
  }
  return nullptr;
}

Words NamesOfOptions(const CLI::App& command) {
  Words names;
  for (const CLI::App* at = &command; at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* option : OptionsOf(*at)) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

Words NamesOfCommands(const CLI::App& command) {
  Words names;
  for (const CLI::App* next : command.get_subcommands([](const CLI::App* app) {
         return !app->get_group().empty();  // not hidden
       })) {
    if (!next->get_name().empty()) names.push_back(next->get_name());
  }
  return names;
}

// Those that have a home to log in to, and root.
Words Users() {
  constexpr uid_t kFirstPerson = 1000;
  constexpr uid_t kNobody = 65534;
  Words names;
  setpwent();
  while (const passwd* user = getpwent()) {
    const bool is_person = user->pw_uid >= kFirstPerson && user->pw_uid != kNobody;
    if (user->pw_uid == 0 || is_person) names.emplace_back(user->pw_name);
  }
  endpwent();
  return names;
}

// The name the store has for the user whose pools these are: the caller's, but root uses those of
// the store's own user.
std::string PoolUser(const std::string& store) {
  uid_t uid = geteuid();
  struct stat info;
  if (uid == 0 && stat((store + "/run").c_str(), &info) == 0) uid = info.st_uid;
  return store::UserName(uid);
}

// The words of "...{one,of,these}".
Words Members(const std::string& type) {
  const size_t begin = type.find('{') + 1;
  std::istringstream list(type.substr(begin, type.find('}', begin) - begin));
  Words members;
  for (std::string member; std::getline(list, member, ',');) members.push_back(member);
  return members;
}

// The store's answer; empty if it does not answer.
class StoreNames {
 public:
  explicit StoreNames(const std::string& store) {
    static_cast<void>(UseConfiguredStore(store));  // a wrong file is no candidate
    store_ = StoreDirectory(store);
  }

  // Of each row in `list` of the verb's answer.
  Words Of(const char* verb, const char* list, const char* field = "name") {
    const auto client = Client::Connect(store_);
    if (!client.ok()) return {};
    const auto result = (*client)->Call(verb, json::object());
    Words names;
    if (!result.ok()) return names;
    for (const json& row : result->value(list, json::array())) {
      names.push_back(row.value(field, ""));
    }
    return names;
  }

  Words Branches() { return Of("list", "branches"); }
  Words Bookmarks() { return Of("bookmark-list", "bookmarks"); }
  Words Deleted() { return Of("trash-list", "branches"); }
  Words Policies() { return Of("policy-show", "policies", "key"); }

  // Pools are known by the labels of their clones, which others may put on theirs. A pool may be
  // named by its source, too.
  Words Pools() {
    const auto client = Client::Connect(store_);
    if (!client.ok()) return {};
    const auto result = (*client)->Call("list", {{"owner", PoolUser(store_)}});
    std::set<std::string> names;
    if (result.ok()) {
      for (const json& row : result->value("branches", json::array())) {
        const json labels = row.value("labels", json::object());
        if (labels.contains("pool")) names.insert(labels.value("pool", ""));
      }
    }
    return {names.begin(), names.end()};
  }

 private:
  std::string store_;
};

void Append(Words* words, Words more) { std::ranges::move(more, std::back_inserter(*words)); }

Words ByType(const CLI::Option& option, StoreNames& names) {
  const std::string type = option.get_type_name();
  const std::string word = option.get_positional() ? option.get_name(true) : type;
  if (type.find('{') != std::string::npos) return Members(type);
  if (word.starts_with("DIR") || word.starts_with("MOUNTPOINT")) return {kDirectories};
  if (word.starts_with("FILE")) return {kFiles};
  if (word.starts_with("BRANCH") && !option.get_positional()) return names.Branches();
  if (!word.starts_with("USER")) return {};
  Words users = Users();
  if (word == "USER|none") users.emplace_back("none");
  return users;
}

Words ByDescription(string_view description, StoreNames& names) {
  for (const string_view article : {"The ", "A "}) {
    if (description.starts_with(article)) description.remove_prefix(article.size());
  }
  const auto begins = [description](string_view with) {
    return description.size() >= with.size() &&
           strncasecmp(description.data(), with.data(), with.size()) == 0;
  };
  if (begins("deleted branch")) return names.Deleted();
  if (begins("bookmark")) return names.Bookmarks();
  if (begins("pool")) return names.Pools();
  Words words;
  if (!begins("branch")) return words;
  words = names.Branches();
  const bool is_any_state = begins("branch, or bookmark") || begins("branch or a bookmark") ||
                            description.find("or bookmark") != string_view::npos;
  if (is_any_state) Append(&words, names.Bookmarks());
  if (description.find("KEY") != string_view::npos) {
    const bool has_value = description.find("KEY=") != string_view::npos;
    for (const std::string& key : names.Policies()) words.push_back(key + (has_value ? "=" : ""));
  }
  return words;
}

Words ValuesOf(const CLI::Option& option, StoreNames& names) {
  Words values = ByType(option, names);
  return values.empty() ? ByDescription(option.get_description(), names) : values;
}

std::string ValueIn(const Words& words, const char* name) {
  const auto option = std::ranges::find(words, name);
  return option == words.end() || option + 1 == words.end() ? "" : *(option + 1);
}

// bash takes --option=value apart, into three words.
void JoinAtEquals(Words* words) {
  for (size_t i = 1; i < words->size(); ++i) {
    if ((*words)[i] != "=" || !(*words)[i - 1].starts_with("--")) continue;
    const bool is_last = i + 1 == words->size();
    if (is_last) {
      (*words)[i].clear();
    } else {
      words->erase(words->begin() + static_cast<ptrdiff_t>(i));
    }
  }
}

Words AllAt(const Place& place, const std::string& last, const std::string& store) {
  StoreNames names(store);
  if (place.is_after_dashes) return {place.arguments == 0 ? kCommands : kFiles};
  if (place.value_of != nullptr) return ValuesOf(*place.value_of, names);
  const size_t equals = last.starts_with("--") ? last.find('=') : std::string::npos;
  if (equals != std::string::npos) {
    const std::string option_part = last.substr(0, equals);
    const CLI::Option* option = OptionNamed(*place.command, option_part);
    Words values = option != nullptr ? ValuesOf(*option, names) : Words();
    for (std::string& value : values) {
      if (!value.starts_with(":")) value = option_part + "=" + value;
    }
    return values;
  }
  if (last.starts_with("-")) return NamesOfOptions(*place.command);
  Words words = NamesOfCommands(*place.command);
  if (place.arguments > 0) words.clear();
  if (const CLI::Option* argument = ArgumentAt(*place.command, place.arguments)) {
    Append(&words, ValuesOf(*argument, names));
  }
  return words;
}

// Names are others' choice, and a shell may take what is inserted for more than a word.
bool IsPlain(string_view word) {
  return word.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
             "._@:=+-") == string_view::npos;
}

}  // namespace

Words Candidates(const CLI::App& app, Words words) {
  if (words.empty()) words.emplace_back();
  JoinAtEquals(&words);
  if (const std::string file = ValueIn(words, "--config"); !file.empty()) UseConfiguration(file);
  Words candidates = AllAt(PlaceOf(app, words), words.back(), ValueIn(words, "--store"));
  std::erase_if(candidates, [&](const std::string& candidate) {
    return !IsPlain(candidate) ||
           (!candidate.starts_with(words.back()) && !candidate.starts_with(":"));
  });
  return candidates;
}

}  // namespace velafs
