#include <array>

#include "velafs/cli/manual.h"

namespace velafs::cli {
namespace {

constexpr std::array kTexts = {
    ManualText{"", R"(
velafs shows each branch of a store as a PGDATA directory under the mountpoint of the store. A branch begins
as a pointer to the state of another, and takes only the disk space of the pages that it changes. velapg(1)
runs PostgreSQL on branches. velafs(7) explains the concepts, the guarantees, and what a clone can reach.

The store is that of `--store`, else of `VELAFS_STORE`, else of the configuration file
(velafs.conf(5)), else `/var/lib/velafs` for root and `~/.local/share/velafs` for others. A command
asks the daemon of the store, if one runs; otherwise it opens the store itself.

Results go to standard output, everything else to standard error. An error is one line, sometimes followed
by a hint. With `--json` standard output is exactly one JSON document, also when the command fails: then it
is {"error":{"code","message","hint"}}. The code is `failed`, `usage`, `not_found`, `exists`, `refused`,
`locked`, `unreachable` or `corrupt`. A field marked with ? on a page may be missing. BRANCH and BOOKMARK
stand for the fields that `show` and `bookmark create` print.

A lifetime, or any other duration, is a number with a unit: `90s`, `30m`, `12h`, `7d`. A size is `512M`,
`10G` or `10GiB`, in powers of 1024, or `10GB`, in powers of 1000.)"},

    ManualText{"init", R"(
The store is a directory that only its owner may enter. It must be on a local filesystem that can lock files
and has holes; `velafs doctor` checks it. The content of imported files and of sealed layers is compressed
with zstd by default. Another compression, which the policy `compression` also sets, applies to new content;
existing content stays readable.

If the store exists, the command fails with exit status 7 and changes nothing.)"},

    ManualText{"import", R"(
The server of the directory must be stopped; a running server is imported from a base backup, as
`pg_basebackup -Ft -X fetch -D - | velafs import prod --from-tar -` makes it. All content is stored
once: content that the store has already is not stored again. An interrupted import leaves nothing.

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

If root imports a directory, it is read with the rights of the directory's owner. An archive is parsed by a
process that can do nothing but read it. Users who are not admins import files that they can read.)"},

    ManualText{"mount", R"(
The daemon serves the mount and answers the other commands. In the background it writes its log to
`STORE/run/velafs.log`; SIGHUP makes it reopen that file. With `--foreground` it stays in the foreground, as a
service manager needs: see velafs.service(8).

The default mountpoint lies inside the store. Count with `du -x`, and exclude it from backups and from
`updatedb`. Only the user's own processes see an ordinary user's mount: containers of root's Docker daemon
need a mount made by root. The mount is `nosuid` and `nodev`.

After a crash of the daemon or a power cut this command recovers the store, with
everything that was fsynced. A second daemon on a store is refused with exit status 5; the error names the
first. After mounting it starts the servers that the policy `autostart` names. SIGTERM stops the servers,
then unmounts.)"},

    ManualText{"umount", R"(
While servers run on branches the command fails and names them; with `--stop-servers` it stops them first.
It also fails while other processes use files or directories of the mount; the hint names the processes.
The command returns when the daemon has ended. It also detaches the mount of a daemon that died.)"},

    ManualText{"clone", R"(
A clone takes milliseconds and no disk space, whatever the size of SOURCE, and SOURCE may be in use. A clone
of a running branch has the state, over all its files, that a power cut at that instant would have left,
plus everything written before the command: PostgreSQL recovers from it at the first start. `--checkpoint`
makes that recovery short.

Later changes of SOURCE are not seen in the clone, nor the other way round. Deleting SOURCE does not affect
the clone. The user who makes the clone owns it. Users who are not admins can clone their own branches, and
those that velafs-approve(1) has approved. Without `--ttl` or `--quota` the policies `ttl` and `quota`
apply; `max_ttl`, `name_pattern` and `max_branches_per_owner` may refuse one: see velafs-policy(5).

`--ephemeral` makes a throw-away branch: fsync does nothing there, and a crash of the daemon or of the
machine resets the branch to its last clone or bookmark, or to its beginning.

`--if-exists` lets a script run twice. An existing branch is taken only if it was cloned from the same
source, has the owner that the clone would have, and is ephemeral or not as asked for; otherwise the
command is refused and says why.)"},

    ManualText{"list", R"(
Own size is the disk space of the branch alone: deleting it now would free that much. While the branch is
written, the number may be five seconds old. Text shows local times, JSON has UTC.)"},

    ManualText{"tree", R"(
A clone is drawn below the branch it was cloned from, with the bookmark it was cloned from, if any.)"},

    ManualText{"show", R"(
It shows, among others, the path, the owner, the state, the parent, when the branch expires, whether it is
protected, labels, note, quota, the port of its server, and its own disk space.)"},

    ManualText{"reset", R"(
It stays the same branch, at the same path and with the same port, with its owner, labels and policies. Its
previous state is kept as the bookmark `BRANCH@before-reset-N` for as long as the policy `trash_keep`
says, unless `--no-bookmark` is given or the branch is ephemeral. To undo a reset, reset the branch to that
bookmark.

The reset is refused while the branch is protected, and while a server runs on it; `velapg reset` stops the
server and starts it again.)"},

    ManualText{"promote", R"(
A promotion brings a tested migration to the branch that others clone from. TARGET keeps its name, its port,
its owner and its clones; BRANCH stays as it is. No data is copied. The old state of TARGET is kept as the
bookmark `TARGET@before-promote-N`.

The promotion is refused while a server runs on either, and while TARGET is protected by
velafs-protect(1). The protection that an import gives does not refuse it.)"},

    ManualText{"rename", R"(
Clones, bookmarks and policies stay. The path under the mount changes with the name, so the command
is refused while a server runs on the branch. The port stays with the branch.)"},

    ManualText{"delete", R"(
A deleted branch goes to the trash: velafs-undelete(1) brings it back for as long as the policy
`trash_keep` says, which is 7 days by default. Its space is freed when it leaves the trash. With
`--purge` it is deleted at once and for good. Clones of a deleted branch stay as they are.

A branch cannot be deleted while it is protected, also not with `--force`, or while a server runs on it. If
some of several branches are refused, they are named, the others are deleted, and the exit status is 4. If one
of the names has no branch, nothing is deleted and the exit status is 3, unless `--if-exists` is given.)"},

    ManualText{"undelete", R"(
The branch comes back with its data, bookmarks, labels and owner. If its name has been taken, give
another one with `--as`. `velafs list --trash` shows the branches in the trash.)"},

    ManualText{"protect", R"(
Imported branches are protected from the start. Protection holds for everybody, admins too, until
velafs-unprotect(1) or until the time of `--for` has passed. A server may run on a protected branch, and
may write.)"},

    ManualText{"unprotect", R"(
Only the owner of the branch and admins may do this. A script that imports a branch again each night removes
the protection, deletes the branch, and imports.)"},

    ManualText{"label", R"(
Labels select branches in velafs-list(1), velafs-delete(1), velapg-stop(1) and velapg-status(1). A branch
has at most 64 labels, of 16 KiB in all. The label `pool` and labels that begin with `pool-` belong to
velapg-pool(1). Values of labels are not in the audit log.)"},

    ManualText{"note", R"(
`velafs show` shows the note. It has no other meaning.)"},

    ManualText{"chown", R"(
Only an admin can give a branch to another user, if the policies `max_branches_per_owner` and
`quota_per_owner` allow it. Files that the former owner has open there can no longer be used. While a server
runs on a branch whose files are shown as its owner's, this is refused.)"},

    ManualText{"expire", R"(
The server of an expired branch is stopped first, unless the policy `expire_running` is `keep`. The policy
`on_expire` decides about the branch: it is deleted, that is, moved to the trash; or its state is kept as
the bookmark `expired-NAME` of its parent; or it is kept. A protected branch does not expire.)"},

    ManualText{"ttl", R"(
The time begins now, whatever was set before; `none` lets the branch live until it is deleted. The policy
`max_ttl` limits the time. See velafs-expire(1) for what happens at the end.)"},

    ManualText{"quota", R"(
The quota counts the disk space that the branch has taken since it was made, its bookmarks included. Names of
files count separately, 512 bytes each, up to the same limit. The least quota is 1M.

At the limit, operations that need more space fail: with EDQUOT on a write-through mount, else when the file
is synced or closed. Overwriting the branch's own pages still works. The quota may be raised while the server
runs.)"},

    ManualText{"bookmark", R"(
A bookmark never changes. Making one takes milliseconds and copies nothing. Branches can be cloned from a
bookmark, reset to it, and compared with it. Content of a bookmark stays on disk until the bookmark is
deleted. With the policy `bookmark_every` the daemon makes bookmarks on schedule.)"},

    ManualText{"bookmark create", R"(
A bookmark of a branch in use has the state that a power cut at that instant would have left, plus everything
written before the command. Without `--keep` it stays until it is deleted. Users who are not admins have at most
1000 on a branch.)"},

    ManualText{"bookmark list", R"(
Bookmarks made by schedule are marked. The list also shows the disk space of each, and when it expires.)"},

    ManualText{"bookmark delete", R"(
Clones of the bookmark stay as they are. There is no trash for bookmarks.)"},

    ManualText{"gc", R"(
Changes that only a deleted branch has are freed when it leaves the trash. This command frees the chunks of
imported and of sealed data: it removes packs that nothing uses, and rewrites packs that are mostly unused.
It also merges layers that nothing needs, which the daemon does by itself, too. Branches may be in use
meanwhile.)"},

    ManualText{"seal", R"(
Bookmarks and clones freeze the changes that a branch has made so far. Sealing turns them into compressed
chunks, each stored once: they then take less space, and reading them takes a little longer. The daemon does
so by itself after the time of the policy `seal_after`, a day by default. Branches may be in use meanwhile.)"},

    ManualText{"stats", R"(
Logical size is the sum of the sizes of all files of all branches; stored size is the disk space
of packs and layers. An admin also sees the numbers of each user.)"},

    ManualText{"status", R"(
It shows the daemon, the mountpoint, the privileges that the daemon has kept on this machine, and the branches
on which servers run. It also works while the store is not mounted.)"},

    ManualText{"metrics", R"(
The text is in the exposition format of Prometheus. The usual way to a Prometheus server is the directory of
the textfile collector of its node exporter: the timer `velafs-metrics.timer` (see velafs.service(8)) writes
there every minute. A dashboard for Grafana and rules for alerts are in `/usr/share/velafs`.

The 50 users with most disk space are named; the others are added up. Only admins see numbers of users.
`--to` replaces FILE in one step, so that a reader never sees a part of it.)"},

    ManualText{"diff", R"(
The comparison reads neither equal chunks nor equal layers, so it takes the time of the changes, not of the
data. Branches may be in use. A page counts if its bytes differ, however often it was written.

`--tables` and `--schema` start servers on throw-away clones, which are isolated from the network; this takes
seconds. A database that cannot be opened is named in a warning and in `not_inspected`, and the others are
shown. With `--fail-over` the exit status is 1 if more than that size differs, for a CI job.)"},

    ManualText{"export", R"(
The export is a PGDATA that PostgreSQL's own programs can start, with owners, modes, times, links and holes. A
branch in use is exported as a clone made now would be. `postmaster.pid`, sockets and FIFOs are left out, and so
are setuid bits and devices without `--keep-special`. The directory is moved to its place when it is complete.

Tablespaces are directories in `pg_tblspc`, which every version of PostgreSQL reads; some tools need links, and
`--tablespace-mapping` makes them. An export is refused while a tablespace leads out of the branch: see
velafs-tablespaces(1). A file name that means a compression that velafs does not write is refused.)"},

    ManualText{"tablespaces", R"(
On a branch tablespaces are directories in `pg_tblspc`; the mount refuses links there that lead out of the
branch. Branches that older releases made may have such links. No server starts on them, since it would
write into files of other branches or of production. `--bring-in` copies the target of a link, with the rights
of the owner of the data; `--drop` removes a link without a target.)"},

    ManualText{"scrub", R"(
It reads and checks everything that is stored: the catalog against its own rules, each chunk against its
SHA-256, and each layer for missing and incomplete files. Branches may be in use. Run it once a week:
`velafs-scrub.timer` does so if velafs is a service, see velafs.service(8). The exit status is 6 if damage
is left.

`--repair` repairs damage if the repair loses nothing. Lost content stays lost: reading it fails with an I/O
error, and the output names its files and branches. Reset those branches, or make them again. A catalog that
cannot be opened is replaced by its newest good copy; changes since that copy are lost, and files that the
copy does not know are moved to `STORE/lost+found`.)"},

    ManualText{"audit", R"(
Each command that changes something leaves an entry, whether it was done, refused or failed. An entry has the
user and process as the kernel knows them, the time, the verb, the branches, the arguments, and the result. It
has no values of labels and no notes. The entry is durable before the command returns. By default the
log is kept for ever; the policies `audit_keep` and `audit_max_entries` limit it. Only admins read it.)"},

    ManualText{"audit verify", R"(
The entries are chained by their hashes: an entry that was changed, inserted or removed is found, and the exit
status is then 6. A user who may write the catalog can forge the whole log. To detect that, keep the line that
this command prints elsewhere and give it back as `--noted`, or send the entries away with `audit ship`.)"},

    ManualText{"audit ship", R"(
Each entry arrives at least once: it is recorded as sent afterwards. A file is appended to and synced; it is
opened with the rights of the user who runs the command, and must not be a link. A timer can run this. If the
log does not continue the entries at the destination, the command fails with exit status 6.)"},

    ManualText{"audit trim", R"(
Without options it applies the policies `audit_keep` and `audit_max_entries`, as the daemon does every hour.
Entries that a destination of `audit ship` has not received yet stay.)"},

    ManualText{"policy", R"(
Policies are rules for lifetimes, quotas, names, networks, schedules and roles. velafs-policy(5) lists each
with its places, values and default. Only admins set policies of the store and of sources; the owner of a
branch sets its policies, as far as those allow it.)"},

    ManualText{"policy show", R"(
Each policy in force is shown, with the place it comes from: the branch, its source, the store, or the
default.)"},

    ManualText{"policy set", R"(
All policies of the command are set, or none, if one of them is refused. They are in force at once; existing
clones keep their lifetime and quota.)"},

    ManualText{"policy unset", R"(
The policy of the next place then applies: of the source, of the store, or the default.)"},

    ManualText{"policy apply", R"(
The places that the file names get exactly the policies in the file: others that are set there are unset. All
of it is done, or nothing. velafs-policy(5) has an example.)"},

    ManualText{"approve", R"(
Users can clone only their own and approved branches, unless the policy `approved_sources_only` is `off`. The
approval of a branch covers its bookmarks, except those that expired branches have left.)"},

    ManualText{"unapprove", R"(
Existing clones stay with their owners, who can go on using them.)"},

    ManualText{"config", R"(
The file is optional. velafs.conf(5) describes its keys and the settings that override it.)"},

    ManualText{"config show", R"(
A setting comes from the command line, the environment, a line of the file, or is the default. If the file
describes another store than the one in use, the output says so.)"},

    ManualText{"config check", R"(
The first error is printed with its file and line. For root it is an error, too, if other users
can write to the file.)"},

    ManualText{"doctor", R"(
It checks `/dev/fuse` and `fusermount3`, the kernel, PostgreSQL's programs, the means to isolate servers, the
filesystem and free space of the store, and branches with links that lead out of them. Each line that is not
`ok` has a hint that tells what to do. With `--json` each check is an object.)"},

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

* HOME: The directory `~` of those defaults.

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

* 4: Refused: by a policy, a role, a protection, or because of a running server. The error tells how it can be
allowed.

* 5: The store is in use by another process, or its daemon does not answer.

* 6: Damage was found.

* 7: It exists already.

* 130, 143: Ended by SIGINT or SIGTERM, with nothing left behind.)";

}  // namespace

const Manual kManual = {
    .texts = kTexts, .environment = kEnvironment, .files = kFiles, .exit_status = kExitStatus};

}  // namespace velafs::cli
