#include "velafs/api/arguments.h"

#include <algorithm>

namespace velafs::api {

using nlohmann::json;

Arguments::Arguments(const json& object) : object_(object) {
  if (!object.is_object()) Fail(UsageError("arguments are not a JSON object"));
}

const json* Arguments::Find(const std::string& name) {
  asked_for_.insert(name);
  if (!object_.is_object()) return nullptr;
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

void Arguments::Fail(Status failure) {
  if (failure_.ok()) failure_ = std::move(failure);
}

void Arguments::FailType(const std::string& name, const std::string& wanted) {
  Fail(UsageError("argument \"" + name + "\" is not " + wanted));
}

std::string Arguments::Required(const std::string& name) {
  std::optional<std::string> text = Text(name);
  if (!text) Fail(UsageError("argument \"" + name + "\" is missing"));
  return std::move(text).value_or("");
}

std::optional<std::string> Arguments::Text(const std::string& name) {
  const json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) {
    FailType(name, "a string");
    return std::nullopt;
  }
  std::string text = value->get<std::string>();
  // The bytes after it would count here, and not there.
  if (text.find('\0') != std::string::npos) {
    FailType(name, "a text without NUL");
    return std::nullopt;
  }
  return text;
}

bool Arguments::Flag(const std::string& name) {
  const json* value = Find(name);
  if (value == nullptr) return false;
  if (!value->is_boolean()) {
    FailType(name, "true or false");
    return false;
  }
  return value->get<bool>();
}

template <typename T>
std::optional<T> Arguments::Parsed(const std::string& name, Result<T> (*parse)(std::string_view)) {
  const std::optional<std::string> text = Text(name);
  if (!text) return std::nullopt;
  Result<T> value = parse(*text);
  if (value.ok()) return *value;
  Fail(std::move(value).status().WithContext("argument \"" + name + "\""));
  return std::nullopt;
}

std::optional<std::chrono::seconds> Arguments::Duration(const std::string& name) {
  return Parsed(name, ParseDuration);
}

std::optional<std::chrono::seconds> Arguments::DurationOrNone(const std::string& name) {
  if (Required(name) == "none") return std::nullopt;
  return Duration(name);
}

std::optional<TimeNs> Arguments::Time(const std::string& name) { return Parsed(name, ParseTime); }

std::optional<uint64_t> Arguments::Size(const std::string& name) { return Parsed(name, ParseSize); }

std::optional<uint64_t> Arguments::SizeOrNone(const std::string& name) {
  if (Required(name) == "none") return std::nullopt;
  return Size(name);
}

std::optional<uint64_t> Arguments::Count(const std::string& name) {
  const json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  const int64_t count = value->is_number_integer() ? value->get<int64_t>() : 0;
  if (count < 1) {
    FailType(name, "a whole number, 1 or more");
    return std::nullopt;
  }
  return static_cast<uint64_t>(count);
}

std::optional<uint16_t> Arguments::Port(const std::string& name) {
  constexpr int64_t kMaxPort = 65535;
  const json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  const int64_t port = value->is_number_integer() ? value->get<int64_t>() : 0;
  if (port < 1 || port > kMaxPort) {
    FailType(name, "a port number, 1 to 65535");
    return std::nullopt;
  }
  return static_cast<uint16_t>(port);
}

std::map<std::string, std::string> Arguments::TextMap(const std::string& name) {
  const json* value = Find(name);
  if (value == nullptr) return {};
  std::map<std::string, std::string> map;
  if (!value->is_object()) {
    FailType(name, "an object of strings");
    return map;
  }
  for (const auto& [key, text] : value->items()) {
    if (text.is_string()) {
      map[key] = text.get<std::string>();
    } else {
      FailType(name, "an object of strings");
    }
  }
  return map;
}

std::vector<std::string> Arguments::Texts(const std::string& name) {
  const json* value = Find(name);
  if (value == nullptr) return {};
  std::vector<std::string> texts;
  const bool is_list = value->is_array() && std::ranges::all_of(*value, [](const json& text) {
                         return text.is_string();
                       });
  if (!is_list) {
    FailType(name, "an array of strings");
    return texts;
  }
  for (const json& text : *value) texts.push_back(text.get<std::string>());
  return texts;
}

const json* Arguments::Objects(const std::string& name) {
  const json* value = Find(name);
  if (value == nullptr) return nullptr;
  const auto is_object = [](const json& one) { return one.is_object(); };
  if (value->is_array() && std::ranges::all_of(*value, is_object)) return value;
  FailType(name, "an array of objects");
  return nullptr;
}

Status Arguments::Finish() {
  VELAFS_TRY(failure_);
  for (const auto& item : object_.items()) {
    if (!asked_for_.contains(item.key())) {
      return UsageError("unknown argument \"" + item.key() + "\"");
    }
  }
  return {};
}

}  // namespace velafs::api
