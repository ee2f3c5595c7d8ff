#include <array>

#include "pgctl-wrapper/command/manual.h"

namespace velafs::pgctl {
namespace {

constexpr std::array kTexts = {
    ManualText{"", R"text(
velapg finds the server programs of the version that a branch has, mounts the store if need be, and acts as
the owner of the data. Nothing in the configuration files of the branch is edited. Whatever would make a copy
of production act as production, as archiving, replication, jobs and network addresses do, is overridden on the
server's command line, and reported. What a clone can reach, and what it cannot, is in velafs(7).

The rules of access are velapg's own: `pg_hba.conf` and `pg_ident.conf` of the branch are not used. A server
listens on a Unix socket in a directory of mode 0700. Each branch has a port of its own, which it keeps.

Roles and databases are chosen by `--user` and `--dbname`, else by the policies `default_user` and
`default_database` of velafs-policy(5), else they are the superuser that initdb(1) made and `postgres`.

The store, the output of `--json` and errors are as velafs(1) says.)text"},

    ManualText{"start", R"text(
The command returns when the server takes connections; recovery after a crash may take its time, and
`--timeout` limits it. If the server runs already, its address is printed and the exit status is 0.

Before the first start in the life of a branch, when nobody can connect, replication slots and prepared transactions
are removed and subscriptions lose their connection: that changes the data of the branch. Settings that the server does not take here
(a locale, a setting of another version, a missing include) are left out with a warning each; `--strict` refuses to
start then. Preload libraries that run jobs, replicate or call out are left out: see velafs-extensions(5).

`--network` needs user namespaces for anything but `host`; without them the start is refused. An isolated server
has its own empty `/tmp` and `/run`, and sees no file of the host but programs, `/etc` and the branch: use `\copy`
of psql(1) for files.

`--tcp` has the server listen on 127.0.0.1, too, and sets a new password for the role that logs in, which is a change of the data. The
password is good until the next start; `velapg url --tcp` and `velapg env --tcp` print it.

`--as-is` starts what the configuration says, archiving and replication included. Use it only where nobody else
has the same identity.

The log of the server is `STORE/run/ID/postgres.log`; velapg-logs(1) shows it.)text"},

    ManualText{"stop", R"text(
`fast` ends the sessions and shuts down, `smart` waits for the sessions to end, `immediate` leaves the server to
recover at its next start. If the server has not stopped in time, the error says what it waits for. With several
branches all are tried; the exit status tells whether one has failed.)text"},

    ManualText{"restart", R"text(
The port stays, and so does whether the server listens on TCP, unless an option says otherwise. A server that was
isolated from the network stays so.)text"},

    ManualText{"reset", R"text(
This is velafs-reset(1) with the server stopped before and started after, at the same URL. It takes about as long as the
restart of the server. The previous state is kept as a bookmark, whose name is printed.)text"},

    ManualText{"status", R"text(
The list also has servers that have lost their mount, which velapg-stop(1) ends. Nothing is started or mounted.)text"},

    ManualText{"psql", R"text(
The environment of velapg and its standard input are psql's. What psql(1) should get and velapg would understand
itself follows `--`. Where root connects to a branch of another user, psql runs as that user on a terminal of its own, and reads
no `.psqlrc`.)text",
               ".Op Ar PSQL-OPTION ..."},

    ManualText{"url", R"text(
A URL is good until the next start of the server. When the command fails it still prints a URL, which leads
nowhere: a client in `$(...)` then fails too, and does not take its default server for that of the branch.)text"},

    ManualText{"env", R"text(
The commands are for `sh` and its kin. When the command fails, what it prints sets the variables to what leads
nowhere and fails, so that `eval "$(velapg env pr-42)" && pytest` never runs on another server.)text"},

    ManualText{"logs", R"text(
A server writes to `postgres.log` in its run directory. A start that finds 64 MiB of it puts it aside as
`postgres.log.1`; while the server runs, `--rotate` does that. With `--json` the text is in a document; `--follow` has none. Logs are read with the
rights of the user whose branch it is.)text"},

    ManualText{"register", R"text(
The branch stays where it is, and so does its configuration. However the cluster is started, by pg_ctlcluster or by its unit,
velapg starts the server, with everything that keeps a clone apart; PostgreSQL's own program refuses the
configuration of the cluster. pg_dropcluster removes the cluster and leaves the branch. The cluster belongs to the
name of the branch: unregister it before the branch is renamed or deleted. After a reset or a promotion it has the
new state.

postgresql-common, when root runs it, reads the branch's `postgresql.auto.conf` as root. Do not register the branch of a
user whom you do not trust: a FIFO in the place of that file makes pg_lsclusters wait for ever.)text"},

    ManualText{"unregister", R"text(
The files of the cluster in `/etc/postgresql`, the link to the branch, and what was made for systemd(1) are removed. Stop
the server first.)text"},

    ManualText{"run", R"text(
The clone is ephemeral and isolated from the network, unless options say otherwise: CMD connects through the socket, as
`DATABASE_URL` says. Standard input, output and exit status are those of CMD. The clone goes also when velapg is
killed; if the machine dies with it, the clone expires within 12 hours.

Root's clones belong to the user of the policy `inspect_user`, or `velafs`, if there is one, so that what the data
brings along cannot act as the owner of the source.)text",
               ".Fl - Ar CMD\n.Op Ar ARGUMENT ..."},

    ManualText{"inspect", R"text(
Without options nothing is started that leaves a trace: a clone is made, isolated from the network, asked, and
deleted. A database that cannot be opened is named in `not_inspected` and in a warning; the others are shown and the exit
status is 0.)text"},

    ManualText{"pool", R"text(
A pool is for tests that cannot wait for a server to start. Its clones have the state that SOURCE had when the pool was
made or last refreshed. Each user who may clone SOURCE has pools of his own. No process keeps a pool filled:
velapg-take(1) and velapg-release(1) have that done in the background. The clones are ephemeral and isolated from the
network.)text"},

    ManualText{"pool list", R"text(
A clone is ready, being made, taken, or released and waiting to be thrown away.)text"},

    ManualText{"pool refresh", R"text(
Clones that are taken stay as they are; the others are made anew.)text"},

    ManualText{"pool fill", R"text(
It returns when the pool has as many clones as it should.)text"},

    ManualText{"pool stop", R"text(
Those who have taken clones keep them, until they release them or the lease ends.)text"},

    ManualText{"take", R"text(
The clone is the taker's until it is released, or until its lease ends: then its server is stopped and the branch
is deleted. If the pool is empty, the command waits for a clone, as `--wait` says, and then fails. With `--env` or
`--url` it prints, when it fails, what leads nowhere, as velapg-env(1) does.)text"},

    ManualText{"renew", R"text(
The lease begins anew. Without `--lease` it is as long as the policy `lease` says.)text"},

    ManualText{"release", R"text(
The command returns at once; the server is stopped and the clone deleted in the background, which also fills the
pool again.)text"},

    ManualText{"help", R"text(
`velapg start --help` prints the first part alone. The manual page `velapg-start` has both parts, and the
environment, files and exit statuses besides.)text"},
};

constexpr std::string_view kEnvironment = R"text(
* VELAFS_STORE: The store directory, if `--store` is not given.

* VELAFS_CONFIG: The configuration file, if `--config` is not given: see velafs.conf(5).

* PATH: Where PostgreSQL's programs are looked for, after the directories of the distribution.

* PGBINROOT: A directory with PostgreSQL's programs of several versions, which is looked at first.

* XDG_RUNTIME_DIR: Where an ordinary user's systemd(1) answers, which limits and outlives servers.

* NOTIFY_SOCKET: Set by systemd(1) for a service: see velafs.service(8).

* HOME, XDG_CONFIG_HOME, XDG_DATA_HOME: As for velafs(1).

`run`, `take --env` and `env` set `PGHOST`, `PGPORT`, `PGUSER`, `PGDATABASE` and `DATABASE_URL`, with `--tcp` also
`PGPASSWORD`; `run` and `take` also `VELAFS_BRANCH`, and `run --parallel` also `VELAFS_WORKER` and
`VELAFS_WORKERS`.)text";

constexpr std::string_view kFiles = R"text(
* STORE/run/ID/postgres.log: The log of a branch's server.

* STORE/extensions.toml: What becomes of preload libraries: see velafs-extensions(5).

* /run/velafs: Run directories of root's servers.

The other files of a store are described in velafs(7).)text";

constexpr std::string_view kExitStatus = R"text(
* 0: Done.

* 1: Failed.

* 2: Wrong usage.

* 3: Not found; of `status`, the server is stopped.

* 4: Refused: by a policy, a role, or because of what runs. The error says how it can be allowed.

* 5: The store is in use by another process, or its daemon does not answer.

* 6: Damage was found.

* 7: It exists already.

* 130, 143: Ended by SIGINT or SIGTERM, with nothing left behind.

`run` exits as its command does.)text";

}  // namespace

const Manual kManual = {
    .texts = kTexts, .environment = kEnvironment, .files = kFiles, .exit_status = kExitStatus};

}  // namespace velafs::pgctl
