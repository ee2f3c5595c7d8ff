#!/usr/bin/env bash
# What a user does in root's store, and what a user without a role may do to the servers of others.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"
source "$root_dir/integration/others.sh"

# ---- What branches there are

seen_by() { as "$1" ls "$mount_dir" | tr '\n' ' '; }
names_hidden() {
  # Whoever asks first: the kernel must not keep an answer for the others.
  equal "$(seen_by root)" 'main mine one '
  equal "$(seen_by nobody)" ''
  equal "$(seen_by www-data)" 'main mine one '
  equal "$(seen_by postgres)" ''
  velafs -q clone main nobodys --as-user nobody
  equal "$(seen_by nobody)" 'nobodys '
  equal "$(seen_by root)" 'main mine nobodys one '
  # Where it has to go, a server's user gets by name.
  equal "$(as_postgres cat "$mount_dir/main/PG_VERSION")" "$(cat "$VELAFS_SANDBOX/cluster/PG_VERSION")"
  ! as nobody ls "$mount_dir/mine" || fail "nobody may list a branch that is another's"
  velafs -q delete nobodys --purge
}
check "who has no role sees the names of what is his alone" names_hidden

# ---- What a user does in root's store

throw_away() {
  local command
  for command in 'velapg run main@nightly -- true' 'velapg run --parallel 2 mine -- true' \
    'velapg inspect mine --schema' 'velafs diff mine main@nightly --schema' 'velafs diff mine main@nightly --tables'; do
    # shellcheck disable=SC2086  # words
    as www-data $command >out 2>said || { cat said && fail "$command"; }
    ! has_line 'warning: cannot clean up' said || fail "$command: $(cat said)"
  done
  equal "$(velafs --json list | jq -r '.branches[].name' | sort | tr '\n' ' ')" 'main mine one '
  equal "$(find "$VELAFS_STORE/run" -mindepth 1 -type d)" "" "directories of servers that are left"
}
check "a user's run, inspect and diff leave no clone behind" throw_away

given_away() {
  as www-data velafs -q clone main@nightly given
  velapg -q start given
  equal "$(ps -o user= -p "$(pid_of given)")" www-data
  velapg -q stop given
  velafs -q chown given nobody
  velapg -q start given
  equal "$(ps -o user= -p "$(pid_of given)")" nobody
  velapg -q stop given
  velafs -q delete --purge given
}
check "a branch whose server has run as its former owner starts as the next one" given_away

forged_lines() {
  ! as www-data ln -s $'/x\nforged\e[2J' "$mine/pg_tblspc/1" || fail "the link was made"
  has_line -F 'refused the link "1" to "/x\nforged\x1b[2J" in pg_tblspc' "$VELAFS_STORE/run/velafs.log"
}
check "a link that is refused makes no line of its own in the log" forged_lines

no_daemon() {
  local command status
  velafs -q umount
  for command in 'velafs list' 'velapg start mine'; do
    status=0
    # shellcheck disable=SC2086  # words
    as www-data $command 2>said || status=$?
    cat said
    equal "$status" 5 "exit status of $command"
    has_line 'error: store ".*" is not mounted' said
    has_line 'hint: no daemon runs: ask an administrator, or user "root", to run velafs mount' said
  done
  velafs -q mount
}
check "without a daemon, a user is told who mounts root's store" no_daemon

pool() {
  velapg -q pool main --size 1
  velapg -q start mine
  # Whether or not such a label is refused.
  as www-data velafs -q label mine pool=main pool-state=ready || true
  local taken
  for _ in 1 2 3; do
    taken=$(velapg --json take main | jq -r .branch)
    [[ $taken != mine ]] || fail "root took the user's branch"
  done
  velapg -q pool stop main --all
  velapg -q stop mine
}
check "a user's branch is never taken from root's pool" pool

# ---- Who reaches a server

by_nobody() { # by_nobody PORT QUERY
  as nobody psql -qXAt -h 127.0.0.1 -p "$1" -U postgres -d postgres -c "$2"
}
no_tcp() {
  echo "listen_addresses = '*'" >>"$mount_dir/one/postgresql.conf"
  echo "host all all 0.0.0.0/0 trust" >>"$mount_dir/one/pg_hba.conf"
  local mode
  for mode in host loopback isolated; do
    velapg -q start one --network "$mode"
    equal "$(sql one 'show listen_addresses')" "" "listen_addresses with --network $mode"
    { by_nobody "$(port_of one)" 'select 1' 2>&1 || true; } | has_line 'Connection refused' || fail "TCP is open"
    velapg -q stop one
  done
}
check "a server does not listen on TCP" no_tcp

with_tcp() {
  velapg -q start one --tcp
  local port
  port=$(port_of one)
  { by_nobody "$port" 'select 1' 2>&1 || true; } | has_line 'no password supplied' || fail "TCP needs no password"
  sql one "alter role postgres password 'known'"
  equal "$(PGPASSWORD=known by_nobody "$port" 'select 1')" 1
  { PGPASSWORD=guessed by_nobody "$port" 'select 1' 2>&1 || true; } | has_line 'authentication failed'
  equal "$(ss -Hltn "sport = :$port" | awk '{print $4}')" "127.0.0.1:$port" "where it listens"
  velapg -q stop one
  refuses 4 'has no TCP' velapg start one --tcp --network isolated
  refuses 2 'excludes' velapg start one --tcp --as-is
}
check "asked to, it listens on 127.0.0.1, for those who know a password" with_tcp

as_is() {
  velapg start one --as-is 2>&1 | has_line 'warning: with --as-is the server listens on "\*"'
  velapg -q stop one
}
check "as it is, it listens as configured, and velapg says so" as_is

closed() {
  velapg -q start mine
  local dir port user
  dir=$(velapg --json status mine | jq -r .socket_dir)
  port=$(port_of mine)
  equal "$(stat -c '%U %a' "$dir")" "www-data 700" "who may look into the directory of the socket"
  equal "$(find "$dir" \( -name '*.log' -o -name '*.conf' \) -perm /077)" "" "files that others may read"
  for user in nobody postgres; do
    ! as "$user" velapg url mine || fail "$user is told the address"
    ! as "$user" velapg env mine || fail "$user is told the environment"
    { as "$user" psql -qXAt -h "$dir" -p "$port" -U postgres -c 'select 1' 2>&1 || true; } | has_line 'Permission denied' ||
      fail "$user reaches the socket"
  done
  ! tr '\0' ' ' <"/proc/$(pid_of mine)/cmdline" | has_line -i password || fail "a password in the command line"
  velapg -q stop mine
}
check "another user reaches no server, and is not told where it is" closed

exit $((failures > 0))
