#include "pgctl-wrapper/server_command.h"

namespace velafs::pgctl {

Command ServerCommand(const ServerPrograms& programs, const Owner& owner,
                      const std::string& program, const std::vector<std::string>& arguments) {
  Command command;
  command.argv = {programs.Path(program)};
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  command.environment = ServerEnvironment(owner);
  command.run_as = &owner;
  return command;
}

}  // namespace velafs::pgctl
