#include "pgctl-wrapper/command/grammar.h"

#include <CLI/CLI.hpp>

#include "velafs/configuration.h"
#include "velafs/manual.h"

namespace velafs::pgctl {
namespace {

// Adds all commands and options to an app.
class Builder {
 public:
  Builder(CLI::App* app, Arguments* arguments, RawWords* raw)
      : app_(*app), arguments_(*arguments), raw_(*raw) {}

  void AddAll() {
    app_.require_subcommand(1);
    app_.set_version_flag("--version", "velapg " VELAPG_VERSION);
    app_.add_option("--store", arguments_.store,
                    "Store directory (default: $VELAFS_STORE, else /var/lib/velafs for root and "
                    "~/.local/share/velafs for others)")
        ->type_name("DIR");
    app_.add_option_function<std::string>("--config", UseConfiguration,
                                          "Configuration file (default: $VELAFS_CONFIG, else "
                                          "/etc/velafs/velafs.conf for root and "
                                          "~/.config/velafs/velafs.conf for others)")
        ->type_name("FILE");
    app_.add_flag("--json", arguments_.json, "Print one JSON document on standard output");
    app_.add_flag("-q,--quiet", arguments_.quiet, "Print errors and data only");
    app_.footer("Example:\n  velapg start pr-42 && velapg psql pr-42");
    AddCommands();
  }

 private:
  CLI::App* Add(const std::string& name, const std::string& description,
                const std::string& example) {
    CLI::App* command = app_.add_subcommand(name, description);
    command->fallthrough();  // so that --json may follow the command
    command->add_option("BRANCH", arguments_.branch, "The branch")->required()->option_text(" ");
    AddFooter(command, example);
    return command;
  }

  static void AddFooter(CLI::App* command, const std::string& example,
                        const std::string& before = "") {
    command->footer(before + "Example:\n  " + example + "\n\nMore about it: velapg help " +
                    CommandPath(*command));
  }

  void AddCommands() {
    AddStart();
    AddStop();
    AddStartOptions(AddStopMode(
        Add("restart", "Stop the branch's server and start it again", "velapg restart pr-42")));
    AddReset();
    AddSelection(AddTo(&app_, "status",
                       "Show whether the branch's server runs; exit status 0 if it does, 3 if it "
                       "is stopped. Without the name of one branch: list the running servers",
                       "velapg status pr-42 --json\n  velapg status\n  velapg status 'pr-*'"));
    AddPsql();
    AddConnection();
    AddLogs();
    AddClusters();
    AddRun();
    AddInspect();
    AddPool();
    AddTo(&app_, "help", "Print a command's help and the text of its manual page",
          "velapg help start\n  velapg help pool refresh")
        ->add_option("COMMAND", arguments_.branches, "Command (default: velapg itself)")
        ->option_text(" ");
    // Hidden. The words of both are after --: those of a line that a shell completes, and the
    // directory and API.md, for the build.
    app_.add_subcommand("candidates", "What may follow the words of a command line")->group("");
    app_.add_subcommand("manual", "Write the manual pages of velapg to a directory")->group("");
  }

  void AddStart() {
    CLI::App* start = Add("start", "Start the branch's server and wait until it takes connections",
                          "velapg start pr-42 --port 5499");
    AddStartOptions(start);
    start->add_flag("--foreground", arguments_.foreground,
                    "Stay until the server ends, and report its state to a service manager. "
                    "SIGTERM stops the server, which does not outlive velapg");
  }

  // Its words are split before: see OwnWords.
  void AddPsql() {
    CLI::App* psql =
        Add("psql",
            "Open psql on the branch; what follows BRANCH and velapg's own options goes to psql",
            "velapg psql pr-42 -c 'SELECT version()'\n"
            "  velapg psql pr-42 --user app --dbname shop -At < report.sql");
    AddPgBin(AddSuperuser(AddLogin(psql)));
  }

  void AddConnection() {
    CLI::App* url = Add("url",
                        "Print the connection URL of the branch's running server; if that fails, a "
                        "URL that leads nowhere",
                        "psql \"$(velapg url pr-42)\"\n  velapg url pr-42 --format jdbc");
    AddOverTcp(AddSuperuser(AddLogin(url)));
    url->add_option("--format", raw_.url_format,
                    "For libpq and most drivers, or for Java's drivers, over TCP")
        ->check(CLI::IsMember({"libpq", "jdbc"}))
        ->capture_default_str();
    CLI::App* env = Add("env",
                        "Print shell commands that set PGHOST, PGPORT, DATABASE_URL ...; if that "
                        "fails, commands that lead nowhere and fail",
                        "eval \"$(velapg env pr-42)\" && pytest");
    AddOverTcp(AddSuperuser(AddLogin(env)));
  }

  void AddLogs() {
    CLI::App* logs = AddTo(&app_, "logs", "Show the server's log, or rotate it",
                           "velapg logs pr-42 -f\n  velapg logs --rotate --all");
    logs->add_option("BRANCH", arguments_.branch, "The branch")->option_text(" ");
    logs->add_option("-n,--lines", arguments_.log_lines, "Number of last lines to show")
        ->type_name("N")
        ->capture_default_str();
    logs->add_flag("-f,--follow", arguments_.follow_log, "Show new lines as they come");
    logs->add_flag("--rotate", arguments_.rotate_log,
                   "Move the log, its last 64 MiB at most, to postgres.log.1")
        ->excludes("--follow");
    logs->add_flag("--all", arguments_.stop_all, "With --rotate: the logs of all branches")
        ->needs("--rotate");
  }

  void AddClusters() {
    CLI::App* to =
        Add("register",
            "Make the branch a cluster of Debian's postgresql-common, for pg_lsclusters, "
            "pg_ctlcluster and postgresql@VERSION-NAME.service; root only",
            "velapg register pr-42 --cluster review");
    to->add_option("--cluster", arguments_.cluster, "The cluster's name (default: the branch's)")
        ->type_name("NAME");
    Add("unregister", "Undo velapg register: the branch stays, but is no longer a cluster",
        "velapg unregister pr-42");
  }

  void AddOverTcp(CLI::App* command) {
    command->add_flag(
        "--tcp", arguments_.over_tcp,
        "Connect over TCP, with the branch's password; the server was started with --tcp");
  }

  void AddStop() {
    CLI::App* stop =
        AddTo(&app_, "stop", "Stop the servers of branches",
              "velapg stop pr-42\n  velapg stop 'pr-*'\n  velapg stop --label team=web\n"
              "  velapg stop --all");
    AddSelection(stop);
    stop->add_flag("--all", arguments_.stop_all, "All servers that this user may stop");
    AddStopMode(stop);
    stop->add_flag("--force", arguments_.force,
                   "Stop fast; after 10 seconds immediate; then kill the server");
    stop->add_option("--timeout", raw_.stop_timeout,
                     "How long to wait for each at most (default: 1m)")
        ->type_name("DURATION");
  }

  void AddReset() {
    CLI::App* reset = Add("reset",
                          "Reset a branch to its source's current state, or to that of --to. A "
                          "running server is stopped, and started again with the same port",
                          "velapg reset pr-42\n  velapg reset pr-42 --to main@monday");
    reset->add_option("--to", arguments_.reset_to, "A branch or a bookmark")->type_name("SOURCE");
    AddStartOptions(AddStopMode(reset));
  }

  CLI::App* AddSelection(CLI::App* command) {
    command
        ->add_option("BRANCH", arguments_.branches,
                     "Branches; 'pr-*' stands for all whose name matches")
        ->option_text(" ");
    command->add_option("--label", raw_.labels, "Only branches that have this label")
        ->type_name("K=V");
    return command;
  }

  void AddRun() {
    CLI::App* run = app_.add_subcommand(
        "run",
        "Clone SOURCE, start a server on the clone, run CMD with PGHOST, PGPORT, PGUSER, "
        "PGDATABASE, DATABASE_URL and VELAFS_BRANCH set, then stop and delete the clone");
    run->fallthrough();
    run->add_option("SOURCE", arguments_.branch, "A branch or a bookmark")
        ->required()
        ->option_text(" ");
    run->add_option("--name", arguments_.run_name, "Name of the clone (default: a fresh one)")
        ->type_name("NAME");
    run->add_flag("--keep", arguments_.keep, "Keep the clone, stopped");
    run->add_option("--parallel", arguments_.workers,
                    "Make N clones of one state of SOURCE, each with its server and its CMD, all "
                    "at once. CMD finds its number, from 0, in VELAFS_WORKER, and N in "
                    "VELAFS_WORKERS. Its input is empty, its output comes in whole lines")
        ->type_name("N")
        ->check(CLI::Range(1, 256).description(""));
    run->add_flag("--no-prefix", arguments_.no_prefix,
                  "With --parallel: do not put [NUMBER] before each line of output");
    AddFooter(
        run,
        "velapg run main -- pytest -x\n"
        "  velapg run --parallel 4 main -- sh -c 'pytest --shard $VELAFS_WORKER/$VELAFS_WORKERS'",
        "Exit status: that of CMD; 128+N if signal N ended it, 127 if there is no such program. "
        "With --parallel: 0 if each CMD exits with 0, else that of the one that failed first; the "
        "others go on.\n");
    AddCloneUser(AddSuperuser(AddLogin(run)));
    AddPort(run);
    AddServerOptions(run);
  }

  void AddInspect() {
    CLI::App* inspect = AddTo(
        &app_, "inspect", "Show, as JSON, what a server on a throw-away clone finds in SOURCE",
        "velapg inspect main@monday --schema\n  velapg inspect pr-42 --relations");
    inspect->add_option("SOURCE", arguments_.branch, "A branch or a bookmark")
        ->required()
        ->option_text(" ");
    inspect->add_flag("--schema", arguments_.inspect_schema,
                      "The DDL of all its databases and roles");
    inspect->add_flag("--relations", arguments_.inspect_relations,
                      "Its tables, indexes and TOAST tables, with their files");
    AddServerOptions(AddCloneUser(AddLogin(inspect)));
  }

  CLI::App* AddTo(CLI::App* parent, const std::string& name, const std::string& description,
                  const std::string& example) {
    CLI::App* command = parent->add_subcommand(name, description);
    command->fallthrough();
    AddFooter(command, example);
    return command;
  }

  void AddPool() {
    CLI::App* pool =
        AddTo(&app_, "pool",
              "Keep clones of SOURCE with started servers, so that velapg take hands one out in "
              "milliseconds. All have SOURCE's current state, until velapg pool refresh. If the "
              "pool exists: change it, and make missing clones",
              "velapg pool main --size 4\n  eval \"$(velapg take main --env)\" && pytest; "
              "velapg release \"$VELAFS_BRANCH\"\n  velapg pool stop main");
    pool->require_subcommand(0, 1);
    pool->add_option("SOURCE", arguments_.branch, "A branch or a bookmark")->option_text(" ");
    pool->add_option("--size", arguments_.pool_size, "Number of clones to keep ready")
        ->type_name("N")
        ->check(CLI::Range(1, 1000).description(""));
    pool->add_option("--name", arguments_.pool_name, "The pool's name (default: after SOURCE)")
        ->type_name("NAME");
    AddCloneUser(AddLogin(pool));
    AddServerOptions(pool);
    AddTo(pool, "list", "List pools, with their numbers of clones", "velapg pool list --json");
    AddPoolName(AddTo(pool, "refresh", "Bring the pool's clones to its source's current state",
                      "velapg pool refresh main"));
    CLI::App* fill = AddTo(pool, "fill",
                           "Make missing clones, and delete released ones. take and release have "
                           "that done in the background",
                           "velapg pool fill main");
    AddPoolName(fill)->add_flag("--unless-waiting", arguments_.unless_waiting,
                                "Leave it to another that waits for its turn to do the same");
    CLI::App* stop = AddTo(pool, "stop", "Delete the pool and its clones, except taken ones",
                           "velapg pool stop main");
    AddPoolName(stop)->add_flag("--all", arguments_.stop_all, "Those taken, too");
    AddTake();
  }

  void AddTake() {
    CLI::App* take =
        AddTo(&app_, "take", "Take a clone out of a pool, which fills up again in the background",
              "psql \"$(velapg take main --url)\"\n  eval \"$(velapg take main --env)\"");
    AddPoolName(take);
    take->add_option("--wait", raw_.take_wait,
                     "How long to wait for one at most (default: 1m); 0 for not at all")
        ->type_name("DURATION");
    AddLease(take);
    CLI::Option* url = take->add_flag("--url", arguments_.as_url, "Print its connection URL");
    take->add_flag("--env", arguments_.as_env,
                   "Print shell commands that set PGHOST, DATABASE_URL, VELAFS_BRANCH ...")
        ->excludes(url);
    CLI::App* release =
        AddTo(&app_, "release", "Give back a taken clone, which is then deleted in the background",
              "velapg release \"$VELAFS_BRANCH\"");
    release->add_option("BRANCH", arguments_.branch, "The clone")->required()->option_text(" ");
    CLI::App* renew = AddTo(&app_, "renew", "Start the lease of a taken clone again",
                            "velapg renew \"$VELAFS_BRANCH\" --lease 30m");
    renew->add_option("BRANCH", arguments_.branch, "The clone")->required()->option_text(" ");
    AddLease(renew);
  }

  void AddLease(CLI::App* command) {
    command
        ->add_option("--lease", raw_.lease,
                     "Give the clone back by itself after this time: its server is stopped and the "
                     "branch deleted (default: the policy lease)")
        ->type_name("DURATION");
  }

  CLI::App* AddPoolName(CLI::App* command) {
    command->add_option("POOL", arguments_.branch, "Pool, or its branch or bookmark")
        ->required()
        ->option_text(" ");
    return command;
  }

  void AddTimeout(CLI::App* command) {
    command->add_option("--timeout", raw_.timeout, "How long to wait at most (default: 10m)")
        ->type_name("DURATION");
  }

  CLI::App* AddPgBin(CLI::App* command) {
    command->add_option("--pgbin", arguments_.start.pgbin, "Directory of PostgreSQL's programs")
        ->type_name("DIR");
    return command;
  }

  CLI::App* AddLogin(CLI::App* command) {
    command
        ->add_option(
            "--user", arguments_.user,
            "Role (default: that of the policy default_user, else the superuser that initdb made)")
        ->type_name("ROLE");
    command
        ->add_option("--dbname", arguments_.dbname,
                     "Database (default: that of the policy default_database, else postgres)")
        ->type_name("DATABASE");
    return command;
  }

  CLI::App* AddSuperuser(CLI::App* command) {
    command
        ->add_flag("--superuser", arguments_.superuser,
                   "Connect as the superuser that initdb made, to database postgres, whatever the "
                   "policies say")
        ->excludes("--user");
    return command;
  }

  CLI::App* AddCloneUser(CLI::App* command) {
    command
        ->add_option("--as-user", arguments_.as_user,
                     "Show the clone's files as owned by USER, who then runs its server (default: "
                     "as SOURCE shows them; for root, if SOURCE shows the real owners, the user of "
                     "the policy inspect_user, else velafs if there is such a user)")
        ->type_name("USER|none");
    return command;
  }

  CLI::App* AddStopMode(CLI::App* command) {
    command->add_option("--mode", raw_.stop_mode, "How to stop")
        ->check(CLI::IsMember({"smart", "fast", "immediate"}))
        ->capture_default_str();
    return command;
  }

  void AddPort(CLI::App* command) {
    command->add_option("--port", raw_.port, "Port (default: the one kept for the branch)")
        ->type_name("PORT")
        ->check(CLI::Range(1, 65535).description(""));
  }

  void AddStartOptions(CLI::App* command) {
    AddPort(AddLogin(command));
    command
        ->add_option("--idle-stop", raw_.idle_stop,
                     "Stop the server once nobody has been connected for this long, or never "
                     "(default: the policy idle_stop)")
        ->type_name("DURATION|never");
    AddServerOptions(command,
                     "the policy network; restart opens no more than the running server has");
    command
        ->add_flag_callback(
            "--no-tcp", [&raw = raw_] { raw.tcp = false; },
            "Listen on the Unix socket only (default: the policy tcp; restart: like the running "
            "server)")
        ->excludes("--tcp");
    command
        ->add_flag("--recover", arguments_.start.recover,
                   "Finish a backup's recovery with WAL that the branch's restore_command reads "
                   "from the archive; nothing is written there")
        ->excludes("--as-is")
        ->excludes("--standby");
  }

  void AddServerOptions(CLI::App* command, const std::string& network_default = "isolated") {
    OverrideChoice& overrides = arguments_.start.overrides;
    AddTimeout(AddPgBin(command));
    command->add_flag("--as-is", overrides.as_is,
                      "Leave out the overrides that make a copy of production safe to start");
    command
        ->add_flag_callback(
            "--tcp", [&raw = raw_] { raw.tcp = true; },
            "Listen on 127.0.0.1, too, with a password (scram-sha-256) that velapg sets for the "
            "role of --user; velapg url --tcp shows it")
        ->excludes("--as-is");
    command->add_flag("--standby", arguments_.start.standby,
                      "Keep standby.signal and recovery.signal");
    command->add_flag("--strict", overrides.strict,
                      "Refuse to start if a setting or a preload library would be left out");
    command
        ->add_option(
            "--network", raw_.network,
            "isolated: the server has no network, and is reached over its Unix socket; loopback: "
            "it also has a localhost of its own, on which it listens with --tcp; "
            "host: the host's network "
            "(default: " +
                network_default + ")")
        ->check(CLI::IsMember({"isolated", "loopback", "host"}));
    command->add_option("--profile", raw_.profile, "Memory settings: capped, or as configured")
        ->check(CLI::IsMember({"small", "inherit"}))
        ->capture_default_str();
  }

  CLI::App& app_;
  Arguments& arguments_;
  RawWords& raw_;
};

}  // namespace

std::unique_ptr<CLI::App> MakeGrammar(Arguments* arguments, RawWords* raw) {
  auto app = std::make_unique<CLI::App>("Runs PostgreSQL servers on velafs branches.", "velapg");
  Builder(app.get(), arguments, raw).AddAll();
  return app;
}

}  // namespace velafs::pgctl
