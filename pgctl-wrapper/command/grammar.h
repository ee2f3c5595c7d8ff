// The commands and options of velapg, as CLI11 parses and prints them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pgctl-wrapper/command/arguments.h"

namespace CLI {
class App;
}

namespace velafs::pgctl {

// Texts that CLI11 fills in, and that are parsed further later.
struct RawWords {
  std::string timeout;
  std::string stop_timeout;
  std::vector<std::string> labels;
  std::string stop_mode = "fast";
  std::string profile = "small";
  std::string take_wait;
  std::string lease;
  std::string idle_stop;
  std::string network;
  std::string url_format = "libpq";
  std::optional<bool> tcp;
  uint16_t port = 0;
};

// Parsing fills the two structs, which must live as long as the app.
std::unique_ptr<CLI::App> MakeGrammar(Arguments* arguments, RawWords* raw);

}  // namespace velafs::pgctl
