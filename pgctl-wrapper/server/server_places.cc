#include "pgctl-wrapper/server/server_places.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "pgctl-wrapper/config/generated_config.h"
#include "pgctl-wrapper/process/process.h"
#include "pgctl-wrapper/process/text_file.h"

namespace velafs::pgctl {
namespace {

Result<std::string> ReadControlData(const ServerHome& home, const Branch& branch) {
  Command command = ServerCommand(home, "pg_controldata", {"-D", branch.data_dir});
  command.environment.insert_or_assign("LC_ALL", std::string("C"));
  VELAFS_ASSIGN(const Captured captured, Capture(std::move(command)));
  if (captured.exit_status == 0) return captured.out;
  return Failed("cannot read pg_control of branch \"" + branch.name + "\"",
                QuoteLastLines("pg_controldata says", captured.err));
}

// A server would wait for a FIFO, or read a device without end. Of what these files include it
// does, until our patience is over.
Status CheckIsFile(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode)) return {};
  return Refused("\"" + path + "\" is not a regular file");
}

// The branch's own file of that name, if there is one; empty otherwise.
Result<std::string> OwnFile(const Branch& branch, const std::string& name) {
  const std::string path = branch.data_dir + "/" + name;
  if (faccessat(AT_FDCWD, path.c_str(), F_OK, AT_EACCESS) != 0) return std::string();
  VELAFS_TRY(CheckIsFile(path));
  return path;
}

}  // namespace

Result<ServerPlaces> PlaceConfiguration(const ServerHome& home, const Branch& branch,
                                        const RunDir& run_dir, bool as_is) {
  ServerPlaces places;
  places.data_dir = branch.data_dir;
  places.socket_dir = run_dir.socket_dir;
  places.log_dir = run_dir.path;
  for (const char* name : {"postgresql.auto.conf", "tablespace_map"}) {
    VELAFS_TRY(CheckIsFile(branch.data_dir + "/" + name));
  }
  VELAFS_ASSIGN(places.config_file, OwnFile(branch, "postgresql.conf"));
  if (places.config_file.empty()) {
    places.config_file = run_dir.path + "/postgresql.conf";
    VELAFS_ASSIGN(const std::string control_data, ReadControlData(home, branch));
    VELAFS_TRY(WriteTextFile(places.config_file, GeneratedServerConfig(control_data)));
  }
  // The branch's own would let in its data's owner, who may not be the one to run this server.
  if (as_is && branch.data_owner.empty()) {
    VELAFS_ASSIGN(places.hba_file, OwnFile(branch, "pg_hba.conf"));
    VELAFS_ASSIGN(places.ident_file, OwnFile(branch, "pg_ident.conf"));
  }
  if (places.hba_file.empty()) {
    places.hba_file = run_dir.path + "/pg_hba.conf";
    VELAFS_TRY(WriteTextFile(places.hba_file, GeneratedHba()));
  }
  if (places.ident_file.empty()) {
    places.ident_file = run_dir.path + "/pg_ident.conf";
    VELAFS_TRY(WriteTextFile(places.ident_file, GeneratedIdent()));
  }
  return places;
}

}  // namespace velafs::pgctl
