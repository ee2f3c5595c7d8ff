#include <array>

#include "pgctl-wrapper/command/manual.h"

namespace velafs::pgctl {
namespace {

constexpr std::array kTexts = {
    ManualText{"", R"text(
velapg finds the server programs of the version that a branch has, mounts the store if need be, and acts as
the owner of the data. The configuration files of the branch are not edited. Settings that would make a copy of
production act as production, such as archiving, replication, jobs and network addresses, are overridden on the
server's command line, and reported. velafs(7) tells what a clone can reach and what it cannot.

velapg supplies the rules of access: `pg_hba.conf` and `pg_ident.conf` of the branch are not used. A server
listens on a Unix socket in a directory of mode 0700. Each branch has a port of its own, which it keeps.

Roles and databases are chosen by `--user` and `--dbname`, else by the policies `default_user` and
`default_database` of velafs-policy(5), else they are the superuser that initdb(1) made and `postgres`.

velafs(1) describes the store, the output of `--json` and errors.)text"},

    ManualText{"start", R"text(
The command returns when the server takes connections; recovery after a crash may take long, and
`--timeout` limits it. If the server runs already, its address is printed and the exit status is 0.

Before the first start in the life of a branch, when nobody can connect, replication slots and prepared
transactions are removed and subscriptions lose their connection: this changes the data of the branch.
Settings that the server does not accept on this machine (a locale, a setting of another version, a missing
include) are left out with a warning each; `--strict` refuses to start then. Preload libraries that run
jobs, replicate or call out are left out: see velafs-extensions(5).

`--network` needs user namespaces for anything but `host`; without them the start is refused. An isolated server
has its own empty `/tmp` and `/run`, and sees no files of the host except programs, `/etc` and the branch: use
`\copy` of psql(1) for files.

With `--tcp` the server listens on 127.0.0.1, too, and velapg sets a new password for the role that logs in,
which changes the data. The password is valid until the next start; `velapg url --tcp` and `velapg env
--tcp` print it.

`--as-is` starts the server as its configuration says, archiving and replication included. Use it only if no
other server has the same identity.

The log of the server is `STORE/run/ID/postgres.log`; velapg-logs(1) shows it.)text"},

    ManualText{"stop", R"text(
`fast` ends the sessions and shuts down, `smart` waits for the sessions to end, `immediate` leaves the server to
recover at its next start. If the server has not stopped in time, the error says what it waits for. With several
branches all are tried; the exit status tells whether one has failed.)text"},

    ManualText{"restart", R"text(
The port stays the same, and so does listening on TCP, unless an option says otherwise. A server that was
isolated from the network stays isolated.)text"},

    ManualText{"reset", R"text(
This is velafs-reset(1) with the server stopped before and started after, at the same URL. It takes about as
long as the restart of the server. The previous state is kept as a bookmark, whose name is printed.)text"},

    ManualText{"status", R"text(
The list also has servers that have lost their mount, which velapg-stop(1) ends. Nothing is started or
mounted.)text"},

    ManualText{"psql", R"text(
The environment of velapg and its standard input are psql's. Put options for psql(1) that velapg
also has after `--`. If root connects to a branch of another user, psql runs as that user on a terminal of its
own, and reads no `.psqlrc`.)text",
               ".Op Ar PSQL-OPTION ..."},

    ManualText{"url", R"text(
A URL is valid until the next start of the server. If the command fails, it still prints a URL, which leads
nowhere: a client with `$(...)` then fails, too, and does not connect to its default server instead.)text"},

    ManualText{"env", R"text(
The commands are for `sh` and similar shells. If the command fails, it prints commands that set the
variables to values that lead nowhere and then fail, so that `eval "$(velapg env pr-42)" && pytest` never
runs on another server.)text"},

    ManualText{"logs", R"text(
A server writes to `postgres.log` in its run directory. A start renames a log of 64 MiB or more to
`postgres.log.1`; while the server runs, `--rotate` moves it there. With `--json` the text is in a document, but
`--follow` prints none. Logs are read with the rights of the branch's user.)text"},

    ManualText{"register", R"text(
The branch stays where it is, and so does its configuration. If pg_ctlcluster or the unit starts the
cluster, velapg starts the server, with all overrides and isolation of a branch; PostgreSQL's own program
refuses the configuration of the cluster. pg_dropcluster removes the cluster, not the branch. The cluster
belongs to the name of the branch: unregister it before the branch is renamed or deleted. After a reset or a
promotion it has the new state.

postgresql-common, when root runs it, reads the branch's `postgresql.auto.conf` as root. Do not register the
branch of a user whom you do not trust: a FIFO instead of that file makes pg_lsclusters wait for
ever.)text"},

    ManualText{"unregister", R"text(
The files of the cluster in `/etc/postgresql`, the link to the branch, and the files for systemd(1) are
removed. Stop the server first.)text"},

    ManualText{"run", R"text(
The clone is ephemeral and isolated from the network, unless options say otherwise: CMD connects through the
socket, as `DATABASE_URL` says. Standard input, output and exit status are those of CMD. The clone is
deleted even if velapg is killed; if the machine dies with it, the clone expires within 12 hours.

Root's clones belong to the user of the policy `inspect_user`, or `velafs`, if there is one, so that code in the
data cannot act as the owner of the source.)text",
               ".Fl - Ar CMD\n.Op Ar ARGUMENT ..."},

    ManualText{"inspect", R"text(
A clone is made, isolated from the network, queried, and deleted: nothing is left. A database that cannot be
opened is named in `not_inspected` and in a warning; the others are shown and the exit status is 0.)text"},

    ManualText{"pool", R"text(
A pool is for tests that cannot wait for a server to start. Its clones have the state that SOURCE had when
the pool was made or last refreshed. Each user who may clone SOURCE has pools of their own. No process keeps
a pool filled: velapg-take(1) and velapg-release(1) refill it in the background. The clones are ephemeral
and isolated from the network.)text"},

    ManualText{"pool list", R"text(
A clone is ready, being made, taken, or released and waiting to be deleted.)text"},

    ManualText{"pool refresh", R"text(
Taken clones stay as they are; the others are made again.)text"},

    ManualText{"pool fill", R"text(
It returns when the pool has as many clones as it should.)text"},

    ManualText{"pool stop", R"text(
Users keep taken clones until they release them or the lease ends.)text"},

    ManualText{"take", R"text(
The clone belongs to the user who took it until it is released, or until its lease ends: then its server is
stopped and the branch is deleted. If the pool is empty, the command waits for a clone for the time of `--wait`
and then fails. If it fails, `--env` and `--url` print variables or a URL that lead nowhere, as velapg-env(1)
does.)text"},

    ManualText{"renew", R"text(
The lease starts again. Without `--lease` it is as long as the policy `lease` says.)text"},

    ManualText{"release", R"text(
The command returns at once; the server is stopped, the clone deleted and the pool refilled in the
background.)text"},

    ManualText{"help", R"text(
`velapg start --help` prints the first part alone. The manual page `velapg-start` has both parts, and the
environment, files and exit statuses besides.)text"},
};

constexpr std::string_view kEnvironment = R"text(
* VELAFS_STORE: The store directory, if `--store` is not given.

* VELAFS_CONFIG: The configuration file, if `--config` is not given: see velafs.conf(5).

* PATH: Where PostgreSQL's programs are looked for, after the directories of the distribution.

* PGBINROOT: A directory with PostgreSQL's programs of several versions, which is searched first.

* XDG_RUNTIME_DIR: The directory with the socket of an ordinary user's systemd(1), which limits servers.

* NOTIFY_SOCKET: Set by systemd(1) for a service: see velafs.service(8).

* HOME, XDG_CONFIG_HOME, XDG_DATA_HOME: As for velafs(1).

`run`, `take --env` and `env` set `PGHOST`, `PGPORT`, `PGUSER`, `PGDATABASE` and `DATABASE_URL`, with
`--tcp` also `PGPASSWORD`; `run` and `take` also `VELAFS_BRANCH`, and `run --parallel` also `VELAFS_WORKER`
and `VELAFS_WORKERS`.)text";

constexpr std::string_view kFiles = R"text(
* STORE/run/ID/postgres.log: The log of a branch's server.

* STORE/extensions.toml: Rules for preload libraries: see velafs-extensions(5).

* /run/velafs: Run directories of root's servers.

The other files of a store are described in velafs(7).)text";

constexpr std::string_view kExitStatus = R"text(
* 0: Done.

* 1: Failed.

* 2: Wrong usage.

* 3: Not found; for `status`, the server is stopped.

* 4: Refused: by a policy, a role, or because of a running server. The error tells how it can be allowed.

* 5: The store is in use by another process, or its daemon does not answer.

* 6: Damage was found.

* 7: It exists already.

* 130, 143: Ended by SIGINT or SIGTERM, with nothing left behind.

`run` exits as its command does.)text";

}  // namespace

const Manual kManual = {
    .texts = kTexts, .environment = kEnvironment, .files = kFiles, .exit_status = kExitStatus};

}  // namespace velafs::pgctl
