#!/usr/bin/env bash
# What the daemon has given up, root's and an ordinary user's, and that all verbs go on working without.
# www-data stands for a user, games for an admin who is not root; the data is postgres's.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

as() { # as USER COMMAND...
  runuser -u "$1" -- "${@:2}"
}
of() { # of PID FIELD: from /proc/PID/status
  sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"
}
# Each thread has rights of its own.
of_threads() { # of_threads PID FIELD
  sed -sn "s/^$2:[[:space:]]*//p" "/proc/$1/task/"*/status | sort -u
}
helpers_of() { # the process that unmounts, and those that open files by their node ids
  cat "/proc/$1/task/"*/children
}

have_ended() { # have_ended PIDS
  local pid
  for pid in $1; do has_ended "$pid" || return 1; done
}

make_store 1
daemon=$(daemon_pid)
# CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID, SYS_PTRACE
kept=$(printf '%016x' $((1 << 0 | 1 << 1 | 1 << 3 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 19)))

rights_of_root() {
  ls "$mount_dir/main" >/dev/null # threads of the mount
  local set
  for set in CapEff CapPrm CapBnd; do equal "$(of_threads "$daemon" "$set")" "$kept" "$set"; done
  for set in CapInh CapAmb; do equal "$(of_threads "$daemon" "$set")" 0000000000000000 "$set"; done
  equal "$(of_threads "$daemon" NoNewPrivs)" 1 NoNewPrivs
  equal "$(of_threads "$daemon" Seccomp)" 2 Seccomp
  equal "$(sed -n 's/^Max core file size *//p' "/proc/$daemon/limits" | tr -s ' ')" '0 0 bytes ' "core limit"
}
check "no thread of root's daemon has more rights than the table says" rights_of_root

helpers_have_little() {
  local helper
  for helper in $(helpers_of "$daemon"); do
    of "$helper" CapEff >>rights
    equal "$(find "/proc/$helper/fd" -lname "*$VELAFS_STORE*" | wc -l)" 0 "files of the store it has open"
    equal "$(find "/proc/$helper/fd" -lname 'socket:*' | wc -l)" 1 "sockets it has open"
  done
  # DAC_READ_SEARCH, four times; and SYS_ADMIN once
  equal "$(sort rights | uniq -c | awk '{ print $1, $2 }' | tr '\n' ' ')" \
    "$(printf '4 %016x 1 %016x ' $((1 << 2)) $((1 << 2 | 1 << 21)))" "their rights"
}
check "the processes that act for the daemon have no file and no other right" helpers_have_little

is_told() {
  velafs doctor | has_line -E 'sandbox: .*CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID, SYS_PTRACE; its system calls are filtered'
  ! velafs doctor | has_line -E 'sandbox: .*SYS_ADMIN'
}
check "doctor says what the daemon has given up" is_told

unreadable() {
  ! as www-data cat "/proc/$daemon/environ" || fail "others can read it"
}
check "the daemon's memory is hidden" unreadable

whole_story() {
  velafs -q bookmark create main@nightly
  velafs -q approve main@nightly
  velafs -q policy set --of-store user_group=www-data admin_group=games network=host
  as www-data velafs -q clone main@nightly mine
  velafs -q clone main shown --as-user www-data
  as www-data velapg -q start mine
  equal "$(as www-data velapg psql mine -- -Atc 'select count(*) from pgbench_branches')" 1
  refuses 4 'a server runs' velafs umount
  as www-data velapg -q stop mine
  velapg -q start main
  equal "$(sql main 'select 6*7')" 42
  velafs list --json | jq -e '.branches[] | select(.name == "main").state == "running"'
  velapg -q stop main
  velafs -q seal
  velafs -q reset mine
  as www-data velafs -q export mine --to-dir "$exports/of-www-data"
  velafs -q export main@nightly --to-tar "$VELAFS_SANDBOX/main.tar"
  velafs -q diff main mine >/dev/null
  velafs scrub >/dev/null
  velafs stats >/dev/null
}
exports=$VELAFS_SANDBOX/exports
install -d -m 777 "$exports"
check "clones, servers, exports, seals and scrubs work" whole_story

orphan_is() { [[ $(field main orphan_pid) == "$1" ]]; }
sleeper() { sql main "select pid from pg_stat_activity where query = 'select pg_sleep(600)' and state = 'active'"; }
is_sleeping() { [[ $(sleeper) ]]; }
orphaned() {
  # A backend without its server is told by its program and working directory.
  local backend server
  velapg -q start main
  on main psql -qXAt -c 'select pg_sleep(600)' >/dev/null 2>&1 &
  wait_until 20 is_sleeping
  backend=$(sleeper)
  server=$(velapg --json status main | jq .pid)
  kill -STOP "$backend"
  kill -KILL "$server"
  wait_until 20 orphan_is "$backend"
  refuses 4 "process $backend" velafs reset main
  kill -CONT "$backend"
  wait_until 20 orphan_is null
  wait
}
check "a backend without a server is seen" orphaned

velafs_program=$(command -v velafs)
imported_as() {
  # With that user's rights, which are not root's: the cluster is postgres's alone.
  (
    velafs() { as games "$velafs_program" "$@"; }
    refuses 4 'Permission denied|no PG_VERSION' velafs import theirs --from-dir "$VELAFS_SANDBOX/cluster"
  )
  cp -a "$VELAFS_SANDBOX/cluster" "$VELAFS_SANDBOX/games"
  chown -R games "$VELAFS_SANDBOX/games"
  as games velafs -q import theirs --from-dir "$VELAFS_SANDBOX/games"
  velafs -q import roots --from-dir "$VELAFS_SANDBOX/cluster"
  equal "$(stat -c %U "$mount_dir/roots/PG_VERSION" "$mount_dir/theirs/PG_VERSION" | tr '\n' ' ')" 'postgres games '
  as games velafs -q unprotect theirs
  as games velafs -q unprotect roots
  as games velafs -q delete theirs roots --purge
}
check "an import reads with the rights of whoever asks" imported_as

removed() {
  # What a user has put into the directory of his server is removed with it, whoever may not enter it.
  local run
  as www-data velapg -q start mine
  as www-data velapg -q stop mine
  run=$VELAFS_STORE/run/$(field mine id)
  equal "$(stat -c '%U %a' "$run")" 'www-data 700'
  as www-data mkdir -p "$run/a/b"
  as www-data touch "$run/a/b/c" "$run/a/c"
  as www-data chmod 1000 "$run/a/b"
  as www-data chmod 1111 "$run/a"
  as www-data velafs -q delete mine --purge
  velafs -q gc
  equal "$(find "$VELAFS_STORE/run" -mindepth 1 -maxdepth 1 -name '.gone-*' -o -path "$run")" ''
}
check "the directory of a user's server is removed whatever is in it" removed

unmounted() {
  local helpers
  helpers=$(helpers_of "$daemon")
  (
    cd "$mount_dir/main"
    refuses 4 'in use' velafs umount
  )
  is_mount "$mount_dir" || fail "it is unmounted though in use"
  as games velafs -q umount
  ! is_mount "$mount_dir" || fail "it is still mounted"
  wait_until 20 has_ended "$daemon"
  wait_until 20 have_ended "$helpers"
}
check "an admin who is not root unmounts, and no process stays" unmounted

by_signal() {
  velafs -q mount
  local daemon helpers
  daemon=$(daemon_pid)
  helpers=$(helpers_of "$daemon")
  cd "$mount_dir/main"
  kill -TERM "$daemon"
  wait_until 20 has_ended "$daemon"
  wait_until 20 have_ended "$helpers"
  cd /
  ! is_mount "$mount_dir" || fail "it is still mounted"
}
check "a signal unmounts what is in use" by_signal

killed() {
  velafs -q mount
  local daemon helpers
  daemon=$(daemon_pid)
  helpers=$(helpers_of "$daemon")
  kill -KILL "$daemon"
  wait_until 20 have_ended "$helpers"
  velafs -q mount
  velafs -q umount
}
check "the processes that act for it end with a daemon that is killed" killed

# ---- An ordinary user's

if [[ ! -u $(command -v fusermount3 || echo /bin/false) ]]; then
  skip "an ordinary user's daemon" "there is no setuid fusermount3"
  exit
fi
if ! as_postgres test -w /dev/fuse; then
  mknod --mode 666 /dev/shm/fuse c 10 229
  mount --bind /dev/shm/fuse /dev/fuse
fi

ordinary() {
  export HOME=$VELAFS_SANDBOX/home VELAFS_STORE=$VELAFS_SANDBOX/home/store
  install -d -o postgres "$HOME"
  as_postgres velafs -q init
  as_postgres velafs -q import main --from-dir "$VELAFS_SANDBOX/cluster"
  as_postgres velafs -q mount
  local daemon helper set
  daemon=$(daemon_pid)
  for set in CapEff CapPrm CapInh CapAmb; do equal "$(of_threads "$daemon" "$set")" 0000000000000000 "$set"; done
  equal "$(of_threads "$daemon" NoNewPrivs)" 1 NoNewPrivs
  equal "$(of_threads "$daemon" Seccomp)" 2 Seccomp
  as_postgres velafs doctor | has_line 'sandbox: the daemon has no capabilities; its system calls are filtered'
  as_postgres velafs -q clone main one
  as_postgres velapg -q start one
  equal "$(as_postgres velapg psql one -- -Atc 'select count(*) from pgbench_branches')" 1
  as_postgres velafs --json show one | jq -e '.state == "running"'
  as_postgres velapg -q stop one
  as_postgres velafs -q delete one --purge
  helpers=$(helpers_of "$daemon")
  as_postgres velafs -q umount
  ! is_mount "$VELAFS_STORE/mnt" || fail "it is still mounted"
  wait_until 20 have_ended "$helpers"
  # A path too long for a socket's name leads through /proc/self/fd.
  VELAFS_STORE=$HOME/$(printf 'a%.0s' {1..120})
  export VELAFS_STORE
  as_postgres velafs -q init
  as_postgres velafs -q mount
  as_postgres velafs list >/dev/null
  kill -TERM "$(daemon_pid)"
  wait_until 20 has_ended "$(daemon_pid)"
  ! is_mount "$VELAFS_STORE/mnt" || fail "it is still mounted after a signal"
}
check "an ordinary user's daemon has no rights either, and works" ordinary
