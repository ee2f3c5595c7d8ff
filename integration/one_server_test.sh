#!/usr/bin/env bash
# A branch has one server at most, wherever that runs and however it was started; a clone of a running branch
# knows nothing of its parent's server; and nothing a server does leads out of its branch by a link.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

make_store 0
data=$mount_dir/hidden
velafs -q clone main hidden

# Runs a command as a container would: processes, shared memory and mounts of its own, the branch at another path,
# and a user and group that are not those of the files.
in_container() {
  unshare --pid --fork --kill-child --ipc --mount --propagation private bash -c '
    mkdir -p "$1" && mount --bind "$2" "$1" && mount -t proc proc /proc && shift 2 && exec "$@"' \
    container "$VELAFS_SANDBOX/elsewhere" "$data" "$@"
}
as_other_group() {
  setpriv --reuid postgres --regid nogroup --clear-groups "$@"
}
is_up() { psql -qXAtc 'select 1' -h "$VELAFS_SANDBOX" -p 5505 -U postgres postgres >/dev/null 2>&1; }

chmod 777 "$VELAFS_SANDBOX"
in_container setpriv --reuid postgres --regid nogroup --clear-groups "$pg_bin/postgres" -D "$VELAFS_SANDBOX/elsewhere" \
  -p 5505 -k "$VELAFS_SANDBOX" -c listen_addresses= >"$VELAFS_SANDBOX/hidden.log" 2>&1 &
wait_until 20 is_up || fail "the hidden server does not start"
hidden_pid=$(field hidden server_pid)

lives() {
  is_up || fail "the hidden server is gone"
  equal "$(field hidden server_pid)" "$hidden_pid" "pid of the server"
}

# ---- A server nobody sees by its path --------------------------------------------------------------

is_seen() {
  equal "$(field hidden state)" running state
  equal "$(cat "/proc/$hidden_pid/comm")" postgres "program"
  equal "$(velapg --json status hidden | jq -r .state)" running "state by velapg"
}
check "a server behind a bind mount, in namespaces of its own, is seen" is_seen

no_second_server() {
  refuses 4 'already running' velapg start hidden
  lives
  ! as_postgres pg_ctl start -s -w -t 10 -D "$data" -l "$VELAFS_SANDBOX/second.log" \
    -o "-p 5506 -k $VELAFS_SANDBOX -c listen_addresses=" || fail "pg_ctl started a second server"
  cat "$VELAFS_SANDBOX/second.log"
  ! timeout 10 unshare --ipc setpriv --reuid postgres --regid nogroup --clear-groups \
    "$pg_bin/postgres" -D "$data" -p 5506 -k "$VELAFS_SANDBOX" -c listen_addresses= || fail "a second server ran"
  ! in_container timeout 10 setpriv --reuid postgres --regid nogroup --clear-groups "$pg_bin/postgres" \
    -D "$VELAFS_SANDBOX/elsewhere" -p 5506 -k "$VELAFS_SANDBOX" -c listen_addresses= || fail "a second server ran"
  ! as_postgres "$pg_bin/postgres" --single -D "$data" postgres </dev/null || fail "a single-user server ran"
  lives
}
check "no second server starts beside it: velapg, pg_ctl, other namespaces, single user" no_second_server

nor_in_a_directory_of_it() {
  mkdir "$data/inside"
  (cd "$data" && for name in *; do [[ $name == inside || $name == postmaster.* ]] || cp -al "$name" inside/; done)
  chown postgres "$data/inside"
  chmod 700 "$data/inside"
  ! as_postgres timeout 10 "$pg_bin/postgres" -D "$data/inside" -p 5506 -k "$VELAFS_SANDBOX" -c listen_addresses= ||
    fail "a second server ran on the same files"
  rm -r "$data/inside"
  (cd "$VELAFS_SANDBOX" && echo 1 >"$mount_dir/main/postmaster.pid" && rm "$mount_dir/main/postmaster.pid")
  lives
}
check "nor in a directory inside it; who copies such a file is no server" nor_in_a_directory_of_it

keeps_its_lock() {
  ! rm -f "$data/postmaster.pid" || fail "postmaster.pid was removed"
  ! mv "$data/postmaster.pid" "$data/elsewhere.pid" || fail "it was renamed"
  echo 1 >"$data/other.pid"
  ! mv "$data/other.pid" "$data/postmaster.pid" || fail "it was replaced"
  rm "$data/other.pid"
  has_line "may not remove postmaster.pid" <"$VELAFS_STORE/run/velafs.log"
  lives
}
check "nobody removes or replaces its postmaster.pid, not even root" keeps_its_lock

has_expired() { (($(date --date "$(field "$1" expires_at)" +%s%3N) < $(now_ms))); }
not_pulled_away() {
  refuses 4 'a server runs on' velafs reset hidden
  refuses 4 'a server runs on' velafs promote hidden --onto main
  refuses 4 'a server runs on' velafs promote main --onto hidden
  refuses 4 'a server runs on' velafs delete hidden
  refuses 4 'a server runs on' velafs rename hidden other
  refuses 4 'a server runs on' velafs umount
  velafs -q policy set hidden expire_running=keep
  velafs -q ttl hidden 1s
  wait_until 10 has_expired hidden || fail "it does not expire"
  velafs -q expire
  velafs -q ttl hidden none
  lives
}
check "reset, promote, delete, rename, expire and umount see it" not_pulled_away

# ---- A clone knows nothing of its parent's server --------------------------------------------------

has_no_server_files() { # has_no_server_files DIRECTORY
  [[ ! -e $1/postmaster.pid && ! -e $1/postmaster.opts ]] || fail "$1 has files of the parent's server"
  ! has_line postmaster < <(ls -A "$1")
}
clones_are_clean() {
  velafs -q clone hidden clone
  has_no_server_files "$mount_dir/clone"
  ! as_postgres pg_ctl stop -D "$mount_dir/clone" -m immediate || fail "pg_ctl stopped a server"
  lives
  velafs -q bookmark create hidden@now
  velafs -q clone hidden@now of-bookmark
  has_no_server_files "$mount_dir/of-bookmark"
  velafs -q clone clone of-clone
  has_no_server_files "$mount_dir/of-clone"
  velafs -q export hidden@now --to-dir "$VELAFS_SANDBOX/exported"
  has_no_server_files "$VELAFS_SANDBOX/exported"
  velafs -q export hidden --to-dir "$VELAFS_SANDBOX/exported-too"
  has_no_server_files "$VELAFS_SANDBOX/exported-too"
  ! has_line postmaster < <(velafs diff hidden clone)
  [[ -e $data/postmaster.pid ]] || fail "the parent has lost its own"
  velapg -q start of-bookmark
  [[ -e $mount_dir/of-bookmark/postmaster.pid ]]
  velapg -q stop of-bookmark
  [[ ! -e $mount_dir/of-bookmark/postmaster.pid ]] || fail "a stopped server's is still there"
  lives
  velafs -q scrub
}
check "clones, bookmarks and exports of a running branch have no postmaster.pid" clones_are_clean

ends_at_last() {
  kill -INT "$hidden_pid"
  wait_until 10 has_ended "$hidden_pid"
  equal "$(field hidden state)" ready state
  velapg -q start hidden
  equal "$(sql hidden 'select 1')" 1
  velapg -q stop hidden
}
check "when it has ended, the branch has a server again" ends_at_last

# ---- Sudden ends -----------------------------------------------------------------------------------

backends_count() {
  velapg -q start hidden
  local postmaster backend
  postmaster=$(field hidden server_pid)
  backend=$(pgrep -P "$postmaster" -f 'walwriter')
  kill -STOP "$backend"
  kill -KILL "$postmaster"
  wait_until 10 has_ended "$postmaster"
  equal "$(field hidden state)" running state
  equal "$(field hidden server_pid)" null "the postmaster"
  [[ $(field hidden orphan_pid) != null ]] || fail "no backend is seen"
  ! timeout 10 unshare --ipc setpriv --reuid postgres --regid postgres --clear-groups \
    "$pg_bin/postgres" -D "$data" -p 5506 -k "$VELAFS_SANDBOX" -c listen_addresses= || fail "a second server ran"
  refuses 4 'a server runs on' velafs reset hidden
  kill -CONT "$backend"
  wait_until 10 has_ended "$backend"
  velapg -q start hidden
  velapg -q stop hidden
}
check "a backend that outlives its postmaster counts as a server" backends_count

taken_port() {
  velapg -q start hidden
  local port pid
  port=$(velapg --json status hidden | jq .port)
  pid=$(field hidden server_pid)
  velapg -q start main --port "$port" && fail "two servers have one port"
  equal "$(field hidden server_pid)" "$pid" "pid of the server"
  sql hidden 'select 1'
  velapg -q stop hidden
}
check "a start that is refused for its port ends no other server" taken_port

orphan_is_told() {
  velapg -q start hidden
  local pid daemon
  pid=$(field hidden server_pid)
  daemon=$(daemon_pid)
  kill -KILL "$daemon"
  wait_until 10 has_ended "$daemon"
  if ! has_ended "$pid"; then
    equal "$(velapg --json status hidden | jq -c '[.state, .pid]')" "[\"orphaned\",$pid]"
    equal "$(velapg --json status | jq -c '.servers[] | [.branch, .state, .pid]')" "[\"hidden\",\"orphaned\",$pid]"
  fi
  velafs -q mount
  velapg -q start hidden
  has_ended "$pid" || fail "the orphan lives beside a new server"
  velapg -q stop hidden
}
check "status tells a server without its mount from a stopped one" orphan_is_told

recovery_is_told() {
  velapg -q start hidden
  local postmaster
  postmaster=$(field hidden server_pid)
  equal "$(velapg --json status hidden | jq -r .state)" running
  # Its backends' deaths are only noticed once it goes on: until then it says it is ready, and is not.
  kill -STOP "$(pgrep -P "$postmaster" -f checkpointer)"
  kill -ABRT "$(pgrep -P "$postmaster" -f 'walwriter')"
  is_recovering() { [[ $(velapg --json status hidden | jq -r .state) == recovering ]]; }
  wait_until 4 is_recovering || fail "state is $(velapg --json status hidden | jq -r .state)"
  is_running() { [[ $(velapg --json status hidden | jq -r .state) == running ]]; }
  wait_until 20 is_running || fail "state is $(velapg --json status hidden | jq -r .state)"
  velapg -q stop hidden
}
check "status tells a server that recovers from one that runs" recovery_is_told

# ---- Links -----------------------------------------------------------------------------------------

refused_link() { # refused_link COMMAND...: with EPERM
  local said
  ! said=$("$@" 2>&1) || fail "it was made: $*"
  [[ $said == *"Operation not permitted"* ]] || fail "$said"
}
no_links_out() {
  local links=$mount_dir/main/pg_tblspc
  install -d -o postgres "$VELAFS_SANDBOX/outside"
  refused_link ln -s "$VELAFS_SANDBOX/outside" "$links/16384"
  refused_link ln -s ../../hidden "$links/16384"
  refused_link ln -s "$mount_dir/main/base" "$links/16384"
  ln -s "$VELAFS_SANDBOX/outside" "$mount_dir/main/a_link"
  refused_link mv "$mount_dir/main/a_link" "$links/16384"
  refused_link ln "$mount_dir/main/a_link" "$links/16384"
  refused_link ln -s ../a_link "$links/16384"
  mkdir "$links/16385"
  refused_link ln -s "$VELAFS_SANDBOX/outside" "$links/16385/PG_15"
  rmdir "$links/16385"
  mkdir "$mount_dir/main/other"
  mv "$mount_dir/main/a_link" "$mount_dir/main/other/16384"
  rmdir "$links"
  refused_link mv -T "$mount_dir/main/other" "$links"
  refused_link ln -s other "$links"
  rm -r "$mount_dir/main/other"
  mkdir "$links" "$mount_dir/main/deep"
  ln -s "$VELAFS_SANDBOX/outside" "$mount_dir/main/deep/PG_15"
  refused_link mv "$mount_dir/main/deep" "$links/16386"
  rm -r "$mount_dir/main/deep" "$links"
  install -d -o postgres -m 700 "$links"
  has_line "refused the link" <"$VELAFS_STORE/run/velafs.log"
  mkdir "$mount_dir/main/inside"
  ln -s ../inside "$links/16384"
  rm -r "$links/16384" "$mount_dir/main/inside"
  ln -s /anywhere "$mount_dir/main/elsewhere_it_may"
  rm "$mount_dir/main/elsewhere_it_may"
}
check "no link in pg_tblspc leads out of the branch, whatever makes it" no_links_out

tablespaces_stay_inside() {
  velapg -q start main
  ! sql main "create tablespace out location '$VELAFS_SANDBOX/outside'" || fail "a tablespace was made outside"
  PGOPTIONS='-c allow_in_place_tablespaces=on' sql main "create tablespace inside location ''"
  sql main 'create table t tablespace inside as select generate_series(1, 100) i'
  sql main checkpoint
  velafs -q clone main shares-nothing
  velapg -q start shares-nothing
  sql shares-nothing 'update t set i = 0'
  sql shares-nothing checkpoint
  velapg -q restart main
  equal "$(sql main 'select sum(i) from t')" 5050
  velapg -q stop shares-nothing
  velapg -q stop main
}
check "a tablespace made on a branch is that branch's alone" tablespaces_stay_inside

# ---- Sources ---------------------------------------------------------------------------------------

import_sees() {
  local source=$VELAFS_SANDBOX/source server
  make_cluster "$source" 0
  mkdir "$VELAFS_SANDBOX/at"
  unshare --pid --fork --kill-child --ipc --mount --propagation private bash -c '
    mount --bind "$1" "$2" && mount -t proc proc /proc && exec setpriv --reuid postgres --regid nogroup --clear-groups \
      "$3" -D "$2" -p 5507 -k "$4" -c listen_addresses=' \
    container "$source" "$VELAFS_SANDBOX/at" "$pg_bin/postgres" "$VELAFS_SANDBOX" >/dev/null 2>&1 &
  wait_until 20 psql -qXAtc 'select 1' -h "$VELAFS_SANDBOX" -p 5507 -U postgres postgres
  equal "$(head -n 1 "$source/postmaster.pid")" 1 "pid in postmaster.pid"
  refuses 4 'a server runs on it' velafs import again --from-dir "$source"
  server=$(pgrep -f "^$pg_bin/postgres .*-p 5507 ")
  kill -KILL "$server"
  wait_until 10 has_ended "$server"
  [[ -e $source/postmaster.pid ]]
  velafs -q import again --from-dir "$source"
}
check "import sees a server in a container, and is not fooled by the pid file it leaves" import_sees
