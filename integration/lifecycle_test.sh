#!/usr/bin/env bash
# Branches come and go: what commands print, what they refuse and how, what the mount shows.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

cluster=$VELAFS_SANDBOX/cluster
make_cluster "$cluster" 0

# A copy of the cluster that a case may spoil.
spoiled_cluster() {
  rm -rf "$VELAFS_SANDBOX/spoiled"
  cp -a "$cluster" "$VELAFS_SANDBOX/spoiled"
  echo "$VELAFS_SANDBOX/spoiled"
}

# ---- Stores and imports

check "an unknown store is named" refuses 3 'store.*/nowhere' velafs --store /nowhere list
velafs -q init
check "a second init of a store is refused" refuses 7 'exists|already' velafs init

import_without() {
  local data
  data=$(spoiled_cluster)
  rm "$data/$1"
  refuses 4 "has no $1" velafs import bad --from-dir "$data"
}
check "a directory without PG_VERSION is no PGDATA" import_without PG_VERSION
check "a directory without global/pg_control is no PGDATA" import_without global/pg_control

import_running() {
  host_start "$cluster"
  refuses 4 "$cluster" velafs import bad --from-dir "$cluster"
  velafs import bad --from-dir "$cluster" 2>"$VELAFS_SANDBOX/err" || true
  has_line 'hint: .*pg_ctl.* stop' <"$VELAFS_SANDBOX/err" || fail "no hint to stop it"
}
check "a PGDATA whose server runs is refused" import_running
host_stop "$cluster"

import_special_file() {
  local data
  data=$(spoiled_cluster)
  mknod "$data/base/zero" c 1 5
  refuses 4 'base/zero' velafs import bad --from-dir "$data"
}
check "a special file is refused and named" import_special_file
check "a missing directory is named" refuses 3 '/nowhere' velafs import bad --from-dir /nowhere
check "a bad branch name is wrong usage" refuses 2 '"Bad_Name"' velafs import Bad_Name --from-dir "$cluster"

no_branch_yet() {
  equal "$(velafs --json list)" '{"branches":[]}'
}
check "refused imports leave no branch" no_branch_yet

import_main() {
  velafs --json import main --from-dir "$cluster" >"$VELAFS_SANDBOX/import.json"
  jq -e '.name == "main" and .parent == null and .files > 900 and .chunks_new > 0 and .bytes_stored > 0' \
    "$VELAFS_SANDBOX/import.json"
}
check "an import reports what it stored" import_main
check "an import to an existing name is refused" \
  refuses 7 'branch "main" exists' velafs import main --from-dir "$cluster"

import_twice() {
  velafs --json import again --from-dir "$cluster" | jq -e '.chunks_new == 0 and .chunks_shared > 0'
  velafs -q unprotect again
  velafs delete again
}
check "a second import of the same files stores nothing" import_twice

# ---- The mount

mkdir "$VELAFS_SANDBOX/file.d"
touch "$VELAFS_SANDBOX/file.d/file"
check "a missing mountpoint is named" \
  refuses 3 '/nowhere' velafs mount /nowhere
check "a mountpoint that is a file is refused" \
  refuses 2 'file.d/file' velafs mount "$VELAFS_SANDBOX/file.d/file"

mount_without_device() {
  mkdir "$VELAFS_SANDBOX/dev"
  # shellcheck disable=SC2016
  unshare --mount bash -c '
    source "$1"
    mount -t tmpfs tmpfs "$VELAFS_SANDBOX/dev"
    cp -a /dev/null /dev/zero /dev/urandom "$VELAFS_SANDBOX/dev"
    mount --bind "$VELAFS_SANDBOX/dev" /dev
    refuses 1 /dev/fuse velafs mount' bash "$root_dir/integration/lib.sh"
}
check "a host without /dev/fuse is told so" mount_without_device

mount_it() {
  velafs mount
  is_mount "$mount_dir" || fail "nothing is mounted on $mount_dir"
  equal "$(cat "$mount_dir/main/PG_VERSION")" "$(cat "$cluster/PG_VERSION")"
}
check "mount returns when the branches are there" mount_it
check "a second mount is refused" refuses 5 'already mounted.*process [0-9]+' velafs mount

# What an import leaves out, as pg_basebackup does.
left_out='^(postmaster\.opts|(pg_subtrans|pg_replslot|pg_dynshmem|pg_notify|pg_serial|pg_snapshots|pg_stat_tmp)/.*)$'

contents() { # contents DIRECTORY: each name in it with type, mode, owner, link target and content
  local name
  cd "$1"
  find . -printf '%P\n' | grep -Ev "$left_out" | sort | while read -r name; do
    stat --format '%N %A %U %G' "./$name"
    [[ ! -f $name ]] || sha256sum "./$name"
  done
}
same_files() {
  (contents "$cluster") >"$VELAFS_SANDBOX/there"
  (contents "$mount_dir/main") >"$VELAFS_SANDBOX/here"
  at_least "$(wc -l <"$VELAFS_SANDBOX/here")" 1800 "number of lines to compare"
  diff "$VELAFS_SANDBOX/there" "$VELAFS_SANDBOX/here"
}
check "the mounted branch is the imported directory, owners and modes too" same_files

# ---- Clones

names_under() {
  find "$1" -mindepth 1 -maxdepth 1 -printf '%f ' | sed 's/ $//'
}

clone_at_once() {
  [[ ! -e $mount_dir/one ]] || fail "it is there before it was made"
  velafs --json clone main one | jq -e --arg path "$mount_dir/one" \
    '.name == "one" and .path == $path and .parent == "main" and .state == "ready" and .own_bytes < 100000'
  [[ -d $mount_dir/one/base ]] || fail "it is not there"
  [[ " $(names_under "$mount_dir") " == *" one "* ]] || fail "it is not listed"
}
check "a clone is under the mount at once" clone_at_once

deleted_at_once() {
  velafs clone main short
  ls -R "$mount_dir/short" >/dev/null
  velafs delete short
  [[ ! -e $mount_dir/short ]] || fail "it is still there"
  [[ " $(names_under "$mount_dir") " != *" short "* ]] || fail "it is still listed"
  velafs clone main short
  [[ -d $mount_dir/short/base ]] || fail "its name cannot be used again"
  velafs delete short
}
check "a deleted branch is gone at once, and its name free" deleted_at_once

check "a clone of an unknown branch is refused" \
  refuses 3 'branch "nobody"' velafs clone nobody two
check "a clone of an unknown bookmark is refused" \
  refuses 3 'main@never' velafs clone main@never two
check "a clone to an existing name is refused" \
  refuses 7 'cannot clone "main" to "one": branch "one" exists' velafs clone main one
check "a clone to a bad name is wrong usage" refuses 2 '"-two"|"Two"|"a/b"' velafs clone main a/b
check "show of an unknown branch is refused" refuses 3 '"nobody"' velafs show nobody
check "delete of an unknown branch is refused" refuses 3 '"nobody"' velafs delete nobody
check "an unknown command is wrong usage" refuses 2 'clown' velafs clown main two
check "a missing argument is wrong usage" refuses 2 '.' velafs clone main

velafs -q clone one two
told_text() {
  velafs list | grep -E '^two +.*one' || fail "list does not show it: $(velafs list)"
  velafs tree | has_line two || fail "tree does not show it"
  velafs show two | has_line one || fail "show does not tell its parent"
}
check "list, tree and show tell of a clone of a clone" told_text

told_json() {
  velafs --json list | jq -e '[.branches[] | [.name, .parent]] == [["main", null], ["one", "main"], ["two", "one"]]'
  velafs --json show two | jq -e '.parent == "one" and .parent_bookmark == null and .protected == false
    and .labels == {} and .expires_at == null and (.created_at | fromdate) > 0 and .logical_bytes > 20000000'
  velafs --json tree | jq -es 'length == 1'
  velafs --json stats | jq -e '.branches == 3 and .stored_bytes > 0 and .logical_bytes > .stored_bytes'
}
check "list, tree, show and stats tell the same in JSON" told_json

bookmarks() {
  echo before >"$mount_dir/two/note"
  velafs --json bookmark create two@before --note 'a note' |
    jq -e '.name == "two@before" and .branch == "two" and .note == "a note"'
  echo after >"$mount_dir/two/note"
  velafs clone two@before three
  equal "$(cat "$mount_dir/three/note")" before
  equal "$(cat "$mount_dir/two/note")" after
  equal "$(field three parent_bookmark)" two@before
  velafs bookmark list two | has_line before
  refuses 7 'exists' velafs bookmark create two@before
  velafs bookmark delete two@before
  refuses 3 'two@before' velafs clone two@before four
  equal "$(cat "$mount_dir/three/note")" before
  velafs delete three
}
check "a bookmark keeps a point in time" bookmarks

# ---- Servers

check "velapg of an unknown branch is refused" refuses 3 '"nobody"' velapg start nobody
check "a host without PostgreSQL's programs is told so" \
  refuses 1 'PostgreSQL.*/nowhere' velapg start one --pgbin /nowhere

version_not_installed() {
  velafs clone main old
  echo 11 >"$mount_dir/old/PG_VERSION"
  refuses 1 'PostgreSQL 11' velapg start old
  velafs delete old
}
check "a PGDATA of a version that is not installed is told so" version_not_installed

port_taken() {
  # A server of somebody else's on a port above those that are handed out.
  local port=54871
  host_start "$cluster" -c listen_addresses=127.0.0.1 -c port=$port
  refuses 4 "$port" velapg start one --port $port
}
check "a taken port is refused" port_taken
[[ ! -e $cluster/postmaster.pid ]] || host_stop "$cluster"

start_one() {
  velapg --json start one >"$VELAFS_SANDBOX/start.json"
  jq -e --arg dir "$mount_dir/one" '.branch == "one" and .data_dir == $dir and .pid > 1 and .port > 1023
    and (.url | startswith("postgresql://")) and ([.neutralised[].setting] | index("archive_mode"))' \
    "$VELAFS_SANDBOX/start.json"
  equal "$(field one state)" running
  equal "$(sql one "select current_setting('data_directory')")" "$mount_dir/one"
  equal "$(sql one "select current_setting('cluster_name')")" one
  psql -qXAt -c 'select 1' "$(velapg url one)" | has_line -x 1
  velapg psql one -- -qXAtc 'select 1' | has_line -x 1
  velapg status one | has_line running
  velapg logs one -n 200 | has_line 'ready to accept connections'
}
check "a started clone answers, and its overrides are reported" start_one
check "a branch with a running server is not deleted" refuses 4 '"one"' velafs delete one
check "a branch with a running server is not unmounted" refuses 4 . velafs umount

restart_one() {
  local before
  before=$(jq .port "$VELAFS_SANDBOX/start.json")
  sql one 'create table kept (i int); insert into kept values (42)'
  velapg restart one
  equal "$(velapg --json status one | jq .port)" "$before" "the port"
  equal "$(sql one 'select i from kept')" 42
  velapg stop one
  equal "$(field one state)" ready
}
check "a restart keeps the port and the data" restart_one

# ---- The daemon's end

terminated() {
  local pid
  pid=$(daemon_pid)
  echo kept >"$mount_dir/one/note"
  kill -TERM "$pid"
  wait_until 10 has_ended "$pid" || fail "the daemon has not ended"
  ! is_mount "$mount_dir" || fail "the mountpoint is still mounted"
}
check "SIGTERM unmounts" terminated

in_process() {
  velafs clone one three
  velafs --json show three | jq -e '.path == null and .parent == "one"'
}
check "without a daemon the commands work all the same" in_process

remounted() {
  velafs mount
  equal "$(cat "$mount_dir/one/note")" kept
  equal "$(cat "$mount_dir/three/note")" kept
  velapg start three
  equal "$(sql three 'select i from kept')" 42
  velapg stop three
  velafs umount
  ! is_mount "$mount_dir" || fail "umount left the mount"
  [[ -z $(ls -A "$mount_dir") ]] || fail "the mountpoint is not empty after umount"
}
check "a remount shows the same data" remounted

foreground() {
  local pid
  mkdir -p "$VELAFS_SANDBOX/elsewhere"
  velafs mount "$VELAFS_SANDBOX/elsewhere" --foreground &
  pid=$!
  wait_until 10 is_mount "$VELAFS_SANDBOX/elsewhere" || fail "it is not mounted"
  equal "$(field one path)" "$VELAFS_SANDBOX/elsewhere/one"
  velafs umount
  wait "$pid"
}
check "mount --foreground stays until umount, at any mountpoint" foreground

deleted_all() {
  velafs delete two three one
  velafs --json list | jq -e '[.branches[].name] == ["main"]'
  velafs unprotect main
  velafs delete main
  velafs --json list | jq -e '.branches == []'
  velafs gc --trash
  equal "$(find "$VELAFS_STORE/layers" -mindepth 1 | wc -l)" 0 "what is left in layers/"
}
check "branches are deleted without a daemon, and their layers go with the trash" deleted_all
