#include <array>

#include "velafs/cli/manual.h"

namespace velafs::cli {
namespace {

constexpr std::array kTexts = {
    ManualText{"", R"(
velafs shows each branch of a store as a PGDATA directory under the mountpoint of the store. A branch
begins as a pointer to the state of another, and takes only the disk space of the pages that it
changes. velapg(1) runs PostgreSQL on branches. The concepts, what is guaranteed, and what a clone can
reach are in velafs(7).

The store is that of `--store`, else of `VELAFS_STORE`, else of the configuration file
(velafs.conf(5)), else `/var/lib/velafs` for root and `~/.local/share/velafs` for others. A command
asks the daemon of the store, if one runs; otherwise it opens the store itself.

Results go to standard output, everything else to standard error. An error is one line, and maybe a
hint. With `--json` standard output is exactly one JSON document, also when the command fails: then it
is {"error":{"code","message","hint"}}. The code is `failed`, `usage`, `not_found`, `exists`,
`refused`, `locked`, `unreachable` or `corrupt`. A field that is marked with ? on a page may be missing.
BRANCH and BOOKMARK stand for the fields that `show` and `bookmark create` print.

A lifetime, or any other duration, is a number with a unit: `90s`, `30m`, `12h`, `7d`. A size is `512M`,
`10G` or `10GiB`, in powers of 1024, or `10GB`, in powers of 1000.)"},

    ManualText{"init", R"(
The store is a directory that only its owner may enter. It must be on a local filesystem that can lock
files and has holes; `velafs doctor` checks it. The content of imported files and of sealed layers is
compressed with zstd by default. Another compression, which the policy `compression` also sets, is used
for what is stored from then on; what is there stays readable.

A store that is there already is refused with exit status 7, and is not changed.)"},

    ManualText{"import", R"(
The server of the directory must be stopped; a running server is imported from a base backup, as
`pg_basebackup -Ft -X fetch -D - | velafs import prod --from-tar -` makes it. All content is stored
once: what other branches of the store have already is not stored again. An import that is interrupted
leaves nothing.

Tablespaces become directories of the branch. Links of data, WAL, tablespaces and configuration are
followed; any other link out of the directory is refused with its size, unless `--links` says what to
do. Sockets and FIFOs, and the setuid and setgid bits of files, are left out. Configuration files that
the PGDATA lacks come from the directory in `/etc/postgresql` that names it. An included file that lies
elsewhere does not come along; a warning names it.

A backup without its WAL is refused, and so is a stopped cluster without the WAL segment of its last
checkpoint. With `--allow-missing-wal` it is imported; `velapg start --recover` finishes the recovery of
a backup from its archive.

The new branch is protected: it can be deleted or reset only after velafs-unprotect(1). A source that
comes from a running server gets the policy `network=isolated`, unless the store has a policy of its
own; see velafs-policy(5).

What root imports from a directory is read with the rights of the user who owns it. An archive is parsed
by a process that can do nothing but read it. Users who are not admins import what they can read.)"},

    ManualText{"mount", R"(
The daemon serves the mount and answers the other commands. In the background it writes its log to
`STORE/run/velafs.log`; SIGHUP has it open that file anew. With `--foreground` it stays, as a service
manager wants it: see velafs.service(8).

The default mountpoint lies inside the store. Let `du -x` count it, and leave it out of backups and of
`updatedb`. A mount of an ordinary user is seen by his own processes alone: containers that root's daemon
starts need a mount of root's. The mount is `nosuid` and `nodev`.

After a crash of the daemon or a power cut the store recovers here, by itself, with all that was fsynced.
A second daemon on a store is refused with exit status 5; the error names the first. Once it is mounted,
the servers start whose policy `autostart` says so. SIGTERM stops the servers, then unmounts.)"},

    ManualText{"umount", R"(
While servers run on branches the command is refused, and names them; with `--stop-servers` they are
stopped first. While other processes have files or directories of the mount in use it is refused, too,
and the hint names the processes. The command returns when the daemon has ended. It also detaches a
mount that a daemon has left that died.)"},

    ManualText{"clone", R"(
A clone takes milliseconds and no disk space, whatever the size of SOURCE, and SOURCE may be in use. A clone of
a running branch is what a power cut at that instant would have left, over all its files: PostgreSQL
recovers from it at the first start. `--checkpoint` makes that recovery short.

Nothing of what SOURCE does later is seen in the clone, nor the other way round. Deleting SOURCE leaves the
clone as it is. The owner is who makes the clone. Users who are not admins clone what is theirs, and what
velafs-approve(1) has approved. A clone that is given no lifetime or quota gets those of the policies `ttl`
and `quota`; `max_ttl`, `name_pattern` and `max_branches_per_owner` may refuse one: see velafs-policy(5).

`--ephemeral` is for what is thrown away afterwards: fsync does nothing there, and a crash of the daemon or
of the machine puts the branch back to the state that was last frozen.

`--if-exists` lets a script run twice. An existing branch is taken only if it was cloned from the same
source, has the owner that the clone would have, and is ephemeral or not as asked for; otherwise the
command is refused and says why.)"},

    ManualText{"list", R"(
Own size is what the branch has on disk for itself alone: what deleting it would free now. While the
branch is written, it may be five seconds old. Text shows local times, JSON has UTC.)"},

    ManualText{"tree", R"(
A clone is drawn below the branch it was cloned from, with the bookmark it was cloned from, if any.)"},

    ManualText{"show", R"(
It shows, among others, the path, the owner, the state, the parent, when the branch expires, whether it is
protected, labels, note, quota, the port of its server, and what it has on disk for itself.)"},

    ManualText{"reset", R"(
It stays the same branch, at the same path and with the same port, with its owner, labels and policies. Its
previous state is kept as the bookmark `BRANCH@before-reset-N` for as long as the policy `trash_keep`
says, unless `--no-bookmark` is given or the branch is ephemeral. To undo a reset, reset the branch to that
bookmark.

The reset is refused while the branch is protected, and while a server runs on it; `velapg reset` stops the
server and starts it again.)"},

    ManualText{"promote", R"(
This is how a tried migration gets to the branch that others clone from. TARGET keeps its name, its port,
its owner and its clones; BRANCH stays as it is. No data is copied. The old state of TARGET stays as the
bookmark `TARGET@before-promote-N`.

The promotion is refused while a server runs on either, and while TARGET is protected by
velafs-protect(1). The protection that an import gives does not refuse it.)"},

    ManualText{"rename", R"(
Clones, bookmarks and policies stay. The path under the mount changes with the name, so a branch on which
a server runs is refused. The port stays with the branch.)"},

    ManualText{"delete", R"(
A deleted branch goes to the trash: velafs-undelete(1) brings it back for as long as the policy
`trash_keep` says, which is 7 days by default. Its space comes back when it leaves the trash. With
`--purge` it goes at once, and for good. Clones of a deleted branch stay as they are.

A branch is refused while it is protected, which `--force` does not change, and while a server runs on
it. Of several branches those that are refused are named, and the others are deleted; the exit status is
then 4. If there is no branch of one of the names, nothing is deleted and the exit status is 3, unless
`--if-exists` is given.)"},

    ManualText{"undelete", R"(
The branch comes back with its data, bookmarks, labels and owner. If its name is taken by now, give
another with `--as`. `velafs list --trash` shows what can be brought back.)"},

    ManualText{"protect", R"(
What was imported is protected from the start. Protection holds for everybody, admins too, until
velafs-unprotect(1) or until the time of `--for` has passed. A server may run on a protected branch, and
may write.)"},

    ManualText{"unprotect", R"(
Only the owner of the branch and admins may. A script that imports anew each night removes the protection,
deletes the branch, and imports.)"},

    ManualText{"label", R"(
Labels select branches in velafs-list(1), velafs-delete(1), velapg-stop(1) and velapg-status(1). A branch
has at most 64, of 16 KiB in all. The labels `pool` and those that begin with `pool-` are those of
velapg-pool(1). Values of labels are not in the audit log.)"},

    ManualText{"note", R"(
`velafs show` shows the note. It has no other meaning.)"},

    ManualText{"chown", R"(
Only an admin gives a branch to another user, and only as far as the policies `max_branches_per_owner` and
`quota_per_owner` allow it. What the former owner has open there is no longer his. Of a branch whose files
are shown as those of its owner, this is refused while a server runs on it.)"},

    ManualText{"expire", R"(
A server on a branch whose time has passed is stopped first, unless the policy `expire_running` is `keep`.
The policy `on_expire` says what becomes of the branch: it is deleted, which is to say that it goes to the
trash; or what it was stays as the bookmark `expired-NAME` of its parent; or it is kept. A protected branch
does not expire.)"},

    ManualText{"ttl", R"(
The time begins now, whatever was set before; `none` lets the branch live until it is deleted. The policy
`max_ttl` limits what may be set. See velafs-expire(1) for what happens at the end.)"},

    ManualText{"quota", R"(
The quota counts what the branch has on disk beyond what it began with; its bookmarks since then count. Names
of files count apart, 512 bytes each, and may take as much again. The least is 1M.

At the limit PostgreSQL gets EDQUOT for what would need more space, as on a disk with quotas; what overwrites
its own pages goes on. The quota may be raised while the server runs.)"},

    ManualText{"bookmark", R"(
A bookmark never changes. Making one takes milliseconds and copies nothing. Branches can be cloned from a
bookmark, reset to it, and compared with it. What only a bookmark holds stays on disk until it is deleted. The
policy `bookmark_every` has the daemon make them on schedule.)"},

    ManualText{"bookmark create", R"(
Of a branch in use it is what a power cut at that instant would have left. Without `--keep` it stays until it
is deleted. Users who are not admins have at most 1000 on a branch.)"},

    ManualText{"bookmark list", R"(
Those that were made by schedule are marked.)"},

    ManualText{"bookmark delete", R"(
Clones of the bookmark stay as they are. There is no trash for bookmarks.)"},

    ManualText{"gc", R"(
What only a deleted branch had is freed when it leaves the trash. The chunks of imported and of sealed data
are freed here: packs that nothing uses are removed, and packs that are mostly unused are written anew. Layers
that nothing needs for themselves are merged, which the daemon also does by itself. It may run while branches
are in use. `--dry-run` says what would be freed.)"},

    ManualText{"seal", R"(
Bookmarks and clones freeze what a branch has changed so far. Sealing turns that into compressed chunks, each
stored once: it then takes less space, and reading it takes a little longer. The daemon does so by itself
once the policy `seal_after` says, a day after by default. Branches may be in use meanwhile.)"},

    ManualText{"stats", R"(
Logical size is the sum of the sizes of all files of all branches; stored size is what packs and layers take
on disk. An admin also sees what each user has.)"},

    ManualText{"status", R"(
It shows the daemon, the mountpoint, what the daemon can still do on this machine after it has given up what it
does not need, and the branches on which servers run. It also works while the store is not mounted.)"},

    ManualText{"metrics", R"(
The text is in the exposition format of Prometheus. The usual way to a Prometheus server is the directory of
the textfile collector of its node exporter: the timer `velafs-metrics.timer` (see velafs.service(8)) writes
there every minute. A dashboard for Grafana and rules for alerts are in `/usr/share/velafs`.

Of users, the 50 with most on disk are named; the others are added up. Numbers of users are there for admins
only. `--to` replaces FILE in one step, so that a reader never sees a part of it.)"},

    ManualText{"diff", R"(
The comparison reads neither equal chunks nor equal layers, so it takes the time of the changes, not of the
data. Branches may be in use. A page counts if its bytes differ, however often it was written.

`--tables` and `--schema` start servers on throw-away clones, which are isolated from the network; this takes
seconds. A database that cannot be opened is named in a warning and in `not_inspected`, and the others are
shown. `--fail-over` makes the exit status 1 when more than that size differs, for a CI job.)"},

    ManualText{"export", R"(
What is written is a PGDATA that PostgreSQL's own programs start, with owners, modes, times, links and holes. Of
a branch in use it is what a clone made now would be. `postmaster.pid`, sockets and FIFOs are left out, and so are
setuid bits and devices without `--keep-special`. The directory gets its place when it is complete.

Tablespaces are directories in `pg_tblspc`, which every version of PostgreSQL reads; some tools want links, and
`--tablespace-mapping` makes them. An export is refused while a tablespace leads out of the branch: see
velafs-tablespaces(1). A name that tells of a compression that velafs does not write is refused.)"},

    ManualText{"tablespaces", R"(
On a branch tablespaces are directories in `pg_tblspc`; the mount refuses links there that lead out of the
branch. Branches that older releases have made may have such links. No server starts on them, since it would
write into what other branches, or production, have there. `--bring-in` copies what a link leads to, with the
rights of the owner of the data; `--drop` removes a link that leads to nothing.)"},

    ManualText{"scrub", R"(
It reads and checks everything that is stored: the catalog against its own rules, each chunk against its
SHA-256, and of each layer that its files are there and complete. Branches may be in use. Run it once a week:
`velafs-scrub.timer` does so where velafs is a service, see velafs.service(8). The exit status is 6 if damage is left.

`--repair` mends what can be mended without losing anything. Content that is lost stays lost: reading it fails
with an I/O error, and the output names the files and branches it is of. Reset those branches, or make them
anew. A catalog that cannot be opened is replaced by its newest good copy; changes since that copy are lost, and
files that the copy does not know are put aside in `STORE/lost+found`.)"},

    ManualText{"audit", R"(
Each command that changes something leaves an entry, whether it was done, refused or failed. An entry has the
user and process as the kernel knows them, the time, the verb, the branches, what the verb was given, and the
result. It has no values of labels and no notes. The entry is durable before the command returns. By default the
log is kept for ever; the policies `audit_keep` and `audit_max_entries` limit it. Only admins read it.)"},

    ManualText{"audit verify", R"(
The entries are chained by their hashes: an entry that was changed, put in between or taken away is found, and
the exit status is then 6. Who may write the catalog can make the whole log anew. Against that, keep the line that
this prints elsewhere and give it back as `--noted`, or send the entries away with `audit ship`.)"},

    ManualText{"audit ship", R"(
Each entry arrives at least once: what was sent is noted afterwards. A file is appended to and synced; it is
opened with the rights of who runs the command, and must be no link. A timer can run this. If the log does not
continue what the destination has, the command fails with exit status 6.)"},

    ManualText{"audit trim", R"(
Without options it does what the policies `audit_keep` and `audit_max_entries` say, as the daemon does every
hour. Entries that a destination of `audit ship` has yet to get stay.)"},

    ManualText{"policy", R"(
Policies are rules for lifetimes, quotas, names, networks, schedules and roles. velafs-policy(5) lists each
with its places, values and default. Only admins set those of the store and of sources; the owner of a branch
sets its own, as far as those allow it.)"},

    ManualText{"policy show", R"(
Each policy that holds is shown, with the place it comes from: the branch, its source, the store, or the
default.)"},

    ManualText{"policy set", R"(
All policies of the command are set, or none, if one of them is refused. They are in force at once; clones that
are there keep the lifetime and quota they were given.)"},

    ManualText{"policy unset", R"(
The policy of the next place holds then: of the source, of the store, or the default.)"},

    ManualText{"policy apply", R"(
The file is the whole truth about the places that it names: what is set there and not in the file is unset. All
of it is done, or nothing. velafs-policy(5) has an example.)"},

    ManualText{"approve", R"(
Users clone only what is theirs and what is approved, unless the policy `approved_sources_only` is `off`. The
approval of a branch covers its bookmarks, but for those that an expired branch has left.)"},

    ManualText{"unapprove", R"(
Clones that were made stay with their owners.)"},

    ManualText{"config", R"(
The file is not needed. Its keys, and what comes before it, are in velafs.conf(5).)"},

    ManualText{"config show", R"(
A setting comes from the command line, the environment, a line of the file, or is the default. If the file is
about another store than the one that is asked for, the output says so.)"},

    ManualText{"config check", R"(
The first error is printed with its file and line. Root also gets an error if others than root could write the
file.)"},

    ManualText{"doctor", R"(
It checks `/dev/fuse` and `fusermount3`, the kernel, PostgreSQL's programs, what isolates servers, the
filesystem and free space of the store, and branches with links that lead out of them. Each line that is not
`ok` has a hint that says what to do. With `--json` each check is an object.)"},

    ManualText{"completion", R"(
The script completes commands, options, and names of branches, bookmarks and policies, of velafs and velapg
alike. The packages install it for all three shells.)"},

    ManualText{"help", R"(
`velafs clone --help` prints the first part alone. The manual page `velafs-clone` has both parts, and the
environment, files and exit statuses besides.)"},
};

constexpr std::string_view kEnvironment = R"(
* VELAFS_STORE: The store directory, if `--store` is not given.

* VELAFS_CONFIG: The configuration file, if `--config` is not given: see velafs.conf(5).

* VELAFS_MOUNTPOINT: Where `velafs mount` mounts the store, if no mountpoint is given.

* XDG_CONFIG_HOME: An ordinary user's configuration is in its directory `velafs`. The default is `~/.config`.

* XDG_DATA_HOME: An ordinary user's store is in its directory `velafs`. The default is `~/.local/share`.

* HOME: Where those defaults begin.

* PATH: Where `velapg`, `fusermount3` and PostgreSQL's programs are looked for.

* NO_COLOR: If it is set, output on a terminal has no colours.

* TERM: If it is `dumb`, output has no colours.

* NOTIFY_SOCKET, WATCHDOG_USEC, JOURNAL_STREAM, INVOCATION_ID: Set by systemd(1) for a service: see
velafs.service(8).)";

constexpr std::string_view kFiles = R"(
* STORE/mnt: The default mountpoint: each branch is a directory in it.

* STORE/run/api.sock: The socket on which the daemon answers.

* STORE/run/velafs.log: The daemon's log.

* /etc/velafs/velafs.conf: The configuration of the machine: see velafs.conf(5).

The other files of a store are described in velafs(7).)";

constexpr std::string_view kExitStatus = R"(
* 0: Done.

* 1: Failed.

* 2: Wrong usage.

* 3: Not found.

* 4: Refused: by a policy, a role, a protection, or because of what runs. The error says how it can be
allowed.

* 5: The store is in use by another process, or its daemon does not answer.

* 6: Damage was found.

* 7: It exists already.

* 130, 143: Ended by SIGINT or SIGTERM, with nothing left behind.)";

}  // namespace

const Manual kManual = {
    .texts = kTexts, .environment = kEnvironment, .files = kFiles, .exit_status = kExitStatus};

}  // namespace velafs::cli
