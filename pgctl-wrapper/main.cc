// The program velapg: reads its command line, runs the one command it asks for, reports failure.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "pgctl-wrapper/command/arguments.h"
#include "pgctl-wrapper/command/commands.h"
#include "pgctl-wrapper/command/output.h"
#include "pgctl-wrapper/command/own_words.h"
#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/server/no_server.h"
#include "pgctl-wrapper/server/stand_in.h"
#include "velafs/configuration.h"

namespace velafs::pgctl {
namespace {

int Fail(const Output& output, const Status& failure, const std::vector<std::string>& words) {
  std::fputs(TextWithoutServer(words).c_str(), stdout);
  return output.Fail(failure);
}

int Run(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (IsStandIn(words)) {
    const Status served = ServeAsPostgres(words);
    return served.ok() ? 0 : Output(/*as_json=*/false, /*quiet=*/false).Fail(served);
  }
  const auto arguments = ParseArguments(words);
  if (!arguments.ok()) {
    const auto own_end = words.begin() + static_cast<std::ptrdiff_t>(OwnWords(words));
    const bool json = std::find(words.begin(), own_end, "--json") != own_end;
    return Fail(Output(json, false), arguments.status(), words);
  }
  if (!arguments->help.empty()) {
    std::fputs(arguments->help.c_str(), stdout);
    return 0;
  }
  const Output output(arguments->json, arguments->quiet);
  const Status chosen = UseConfiguredStore(arguments->store);
  if (!chosen.ok()) return Fail(output, chosen, words);
  const auto exit_status = RunCommand(*arguments, output);
  return exit_status.ok() ? *exit_status : Fail(output, exit_status.status(), words);
}

}  // namespace
}  // namespace velafs::pgctl

int main(int argc, char** argv) {
  velafs::pgctl::OpenStandardFds();
  try {
    return velafs::pgctl::Run(argc, argv);
  } catch (const std::exception& failure) {  // no memory, for one
    std::fprintf(stderr, "velapg: error: unexpected failure: %s\n", failure.what());
    return 1;
  }
}
