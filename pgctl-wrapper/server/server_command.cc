#include "pgctl-wrapper/server/server_command.h"

namespace velafs::pgctl {

Command ServerCommand(const ServerHome& home, const std::string& program,
                      const std::vector<std::string>& arguments) {
  Command command;
  command.argv = {home.programs.Path(program)};
  command.argv.insert(command.argv.end(), arguments.begin(), arguments.end());
  command.environment = ServerEnvironment(home.owner);
  command.run_as = &home.owner;
  command.isolation = home.isolation;
  return command;
}

}  // namespace velafs::pgctl
