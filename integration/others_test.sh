#!/usr/bin/env bash
# What a user may do to root, who runs velapg on that user's branch, and what a user without a role may do
# to the servers of others. www-data stands for the user, nobody for the one without a role; the data is
# postgres's.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

as() { # as USER COMMAND...
  runuser -u "$1" -- "${@:2}"
}
port_of() { velapg --json status "$1" | jq .port; }
pid_of() { velapg --json status "$1" | jq .pid; }
on_terminal() { # on_terminal COMMAND: what a user at a terminal sees; standard input is typed
  script --quiet --return --command "$1" /dev/null | stdbuf --output=0 tr -d '\r'
}

make_store 0
velafs -q bookmark create main@nightly
velafs -q approve main@nightly
velafs -q policy set --of-store user_group=www-data network=host
velafs -q clone main one
as www-data velafs -q clone main@nightly mine
mine=$mount_dir/mine

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

# ---- Root's terminal and environment

mount -t tmpfs -o mode=755 tmpfs /var/lib/postgresql # postgres's home
printf '%s\n' '\echo from psqlrc' >/var/lib/postgresql/.psqlrc
velapg -q start one

psqlrc() {
  equal "$(velapg psql one -- -Atc 'select 1')" 1
  equal "$(velapg psql one -- -Atc '\! echo $HOME')" /nonexistent
  [[ ! -e /var/lib/postgresql/.psql_history ]] || fail "a history was left"
}
check "root's psql reads nothing of the home of the branch's user" psqlrc

own_terminal() {
  local roots his
  roots=$(on_terminal 'ps -o sid=,tty= -p $$; exec velapg psql one' <<<$'\\! ps -o sid=,tty= -p $PPID\n\\! tty\nselect 6*7;\n\\q\n')
  echo "$roots"
  has_line -x ' *42' <<<"$roots" || fail "no answer"
  mapfile -t his < <(grep -oE '[0-9]+ pts/[0-9]+' <<<"$roots")
  equal "${#his[@]}" 2 "number of sessions seen"
  [[ ${his[0]% *} != "${his[1]% *}" ]] || fail "psql is in root's session"
  [[ ${his[0]#* } != "${his[1]#* }" ]] || fail "psql is on root's terminal"
  has_line "/dev/${his[1]#* }" <<<"$roots" || fail "psql has no terminal"
  on_terminal "stty cols 91 rows 33; velapg psql one -- -c '\\! stty size'" </dev/null | has_line -E '(^|[^0-9])33 91$' ||
    fail "the window has another size"
}
check "root's psql has a session and a terminal of its own" own_terminal

sleeping() {
  [[ $(sql one "select count(*) from pg_stat_activity where query ~ 'sleep.600' and state = 'active' and pid <> pg_backend_pid()") == 1 ]]
}
interrupted() {
  local keys typist
  mkfifo keys
  on_terminal 'velapg psql one -- -P pager=off' <keys >screen &
  typist=$!
  exec {keys}>keys
  printf 'select pg_sleep(600);\n' >&"$keys"
  wait_until 20 sleeping
  printf '\003' >&"$keys"
  wait_until 20 has_line 'canceling statement due to user request' screen
  printf 'select 6*7;\n\\q\n' >&"$keys"
  exec {keys}>&-
  wait "$typist"
  has_line -x ' *42' screen || { cat screen; false; }
}
check "a key that interrupts psql interrupts its statement" interrupted

no_terminal() {
  # Also where there is no terminal to keep from it: root's session may have one.
  local sessions
  sessions=$(velapg psql one -- -Atc '\! ps -o sid= -p $PPID')
  [[ $((sessions)) != "$(ps -o sid= -p $$ | tr -d ' ')" ]] || fail "psql is in root's session"
  equal "$(echo 'select 6*7' | velapg psql one -- -At)" 42
}
check "root's psql without a terminal has a session of its own" no_terminal

passed_on() {
  local status=0
  velapg psql one -- -c 'select 1/0' 2>/dev/null || status=$?
  equal "$status" 1 "exit status of psql"
  status=0
  timeout --signal TERM 2 velapg psql one -- -c 'select pg_sleep(60)' || status=$?
  equal "$status" 124 "exit status of timeout"
  wait_until 20 eval '! pgrep -x psql'
}
check "psql's exit status and velapg's signals are passed on" passed_on

environment() {
  velapg -q stop one
  ROOTS_SECRET=secret PGPASSWORD=secret velapg -q start one
  ! tr '\0' '\n' <"/proc/$(pid_of one)/environ" | has_line secret || fail "the server has root's environment"
  tr '\0' '\n' <"/proc/$(pid_of one)/environ" | has_line '^PATH=' || fail "the server has no PATH"
  ! ROOTS_SECRET=secret PGPASSWORD=secret velapg psql one -- -c '\! env' | has_line secret || fail "psql has root's environment"
}
check "root's environment does not reach a branch's programs" environment

# ---- TCP

by_nobody() { # by_nobody PORT QUERY
  as nobody psql -qXAt -h 127.0.0.1 -p "$1" -U postgres -d postgres -c "$2"
}
no_tcp() {
  velapg -q stop one
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
check "a server does not listen to TCP" no_tcp

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

# ---- What runs on another user's branch

who_runs() { # who_runs: the user of the server that the environment leads to
  psql -qXAt -c 'create temp table t(x text)' -c "copy t from program 'id -un'" -c 'select * from t'
}
export -f who_runs
not_more_rights() {
  equal "$(velapg run mine -- bash -c who_runs)" www-data "who runs what root runs on it"
  velafs -q clone mine of-mine
  equal "$(field of-mine shown_as)" www-data "whose a clone of root's is"
  velafs -q bookmark create mine@then
  equal "$(velapg run mine@then -- bash -c who_runs)" www-data "who runs what root runs on a bookmark"
  velafs -q clone mine by-admin --as-user none
  equal "$(field by-admin shown_as)" null
  velafs -q delete of-mine by-admin
}
check "root runs another user's branch with that user's rights" not_more_rights

# A library of the user's, which writes down as whom it runs, and with what environment; then it waits.
gcc -shared -fPIC -o "$VELAFS_SANDBOX/spy.so" -xc - <<'CODE'
#include <stdio.h>
#include <unistd.h>
extern char **environ;
__attribute__((constructor)) static void look_around(void) {
  FILE *seen = fopen("seen.new", "w");
  if (!seen) return;
  fprintf(seen, "uid %d %d\n", getuid(), geteuid());
  for (char **entry = environ; *entry; ++entry) fprintf(seen, "%s\n", *entry);
  fclose(seen);
  rename("seen.new", "seen");
  while (access("go", F_OK) != 0) usleep(20000);
}
CODE
seen() {
  compgen -G "$mount_dir/*/seen"
}
spied_on() { # spied_on UID COMMAND...: root's command, on a branch with that library
  echo "$*"
  ROOTS_SECRET=secret PGPASSWORD=secret timeout 100 "${@:2}" >out 2>&1 &
  local command=$! file
  wait_until 60 seen || { cat out && fail "no server has loaded the library"; }
  file=$(seen)
  cat "$file"
  cp "$file" saw
  touch "${file%/seen}/go"
  wait "$command" || true # the library is none of PostgreSQL's
  wait_until 20 eval '! seen'
  equal "$(head -n 1 saw)" "uid $1 $1" "as whom a library of $2's server ran"
  ! has_line secret saw || fail "it saw root's environment"
}
spied_on_by_all() { # spied_on_by_all UID BRANCH
  spied_on "$1" velapg run "$2" -- true
  spied_on "$1" velapg inspect "$2" --schema
  spied_on "$1" velafs diff "$2" main@nightly --schema
  spied_on "$1" velafs diff "$2" main@nightly --tables
  spied_on "$1" velapg pool "$2" --size 1 --name spied
  velapg -q pool stop spied --all
}
spy_on() { # spy_on USER BRANCH
  install -o "$1" -m 700 -d "$mount_dir/$2/lib"
  install -o "$1" -m 755 "$VELAFS_SANDBOX/spy.so" "$mount_dir/$2/lib/spy.so"
  as "$1" bash -c "echo \"shared_preload_libraries = 'lib/spy'\" >>'$mount_dir/$2/postgresql.conf'"
}
users_code() {
  as www-data velafs -q clone main@nightly his
  spy_on www-data his
  spied_on_by_all "$(id -u www-data)" his
  velafs -q delete his
}
check "what root looks into another user's branch with runs as that user, without root's environment" users_code

service_user() {
  velafs -q clone main@nightly production
  spy_on postgres production
  spied_on "$(id -u postgres)" velapg run production -- true
  velafs -q policy set --of-store inspect_user=daemon
  spied_on "$(id -u daemon)" velapg run production -- true
  spied_on "$(id -u nobody)" velafs diff production main@nightly --schema --as-user nobody
  velafs -q policy unset --of-store inspect_user
  cp /etc/passwd passwd
  echo 'velafs:x:977:977::/nonexistent:/usr/sbin/nologin' >>passwd
  mount --bind passwd /etc/passwd
  spied_on_by_all 977 production
  as www-data velafs -q clone main@nightly his
  spy_on www-data his
  spied_on_by_all "$(id -u www-data)" his
  equal "$(velapg run main --parallel 2 --no-prefix -- bash -c who_runs | sort -u)" velafs
  equal "$(velapg run main --as-user none -- bash -c who_runs)" postgres
  velapg inspect main --relations | jq -e '.relations | length > 100'
  velafs -q delete his production
  umount /etc/passwd
}
check "what root looks into production's files with runs as a user who owns nothing else" service_user

# ---- What a user has put where velapg looks for files

puts() { # puts KIND PATH: in the place of that file
  as www-data rm -f "$2"
  case $1 in
    FIFO) as www-data mkfifo "$2" ;;
    zero) as www-data ln -s /dev/zero "$2" ;;
    sparse) as www-data truncate -s 10G "$2" ;;
    socket) as www-data perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Listen => 1, Local => shift)' "$2" ;;
  esac
}
comes_back() { # comes_back COMMAND...: within 30 seconds, whatever it says
  local status=0
  timeout --signal KILL 30 "$@" >said 2>&1 </dev/null || status=$?
  ((status < 124)) || { cat said && fail "$* did not come back: status $status"; }
}
files() {
  local file kind
  velafs -q bookmark create mine@whole
  echo "include 'more.conf'" >>"$mine/postgresql.conf"
  for file in more.conf postgresql.conf postgresql.auto.conf pg_hba.conf pg_ident.conf PG_VERSION global/pg_control \
    global/pg_filenode.map backup_label standby.signal recovery.signal tablespace_map; do
    for kind in FIFO zero sparse socket; do
      puts "$kind" "$mine/$file"
      comes_back velapg start mine --timeout 2s
      echo "$file $kind: $(head -n 1 said)"
      if [[ $kind$file == FIFOmore.conf ]]; then has_line 'did not end within 2s' said; fi
      comes_back velapg stop mine --mode immediate
      comes_back velapg status mine
    done
    comes_back velapg inspect mine --schema --timeout 2s
    velafs -q reset mine --to mine@whole
    [[ $file != more.conf ]] || { echo "include 'more.conf'" >>"$mine/postgresql.conf" && as www-data touch "$mine/more.conf"; }
  done
  velafs -q reset mine --to mine@whole
}
check "a file of a branch that is a FIFO, a device, a socket or endless is not waited for" files

run_files() {
  local dir file kind holder release
  velapg -q start mine
  dir=$(velapg --json status mine | jq -r .socket_dir)
  velapg -q stop mine
  for file in postgres.log idle-stop prepared pg_hba.conf.new pg_hba.conf .s.PGSQL.1.lock; do
    for kind in FIFO zero socket; do
      puts "$kind" "$dir/$file"
      comes_back velapg start mine --timeout 5s --idle-stop 1h
      comes_back velapg status mine
      comes_back velapg logs mine
      comes_back velapg stop mine
    done
    as www-data rm -f "$dir/$file"
  done
  mkfifo release
  as www-data flock "$dir" cat <release &
  holder=$!
  exec {release}>release
  wait_until 10 eval '! flock --nonblock "$dir" true'
  refuses 5 'process [0-9]+ of user "www-data" holds' velapg start mine --timeout 1s
  comes_back velapg stop mine
  exec {release}>&-
  wait "$holder"
  velapg -q start mine
  velapg -q stop mine
}
check "nor is one beside its server, or a lock" run_files

# ---- What root imports

imported() {
  local data=$VELAFS_SANDBOX/cluster
  ln -s /etc/shadow "$data/shadow"
  refuses 4 '"shadow" to "/etc/shadow"' velafs import stolen --from-dir "$data"
  refuses 4 '"/etc/shadow" cannot be read: Permission denied' velafs import stolen --from-dir "$data" --links follow
  { velafs import stolen --from-dir "$data" --links follow 2>&1 || true; } | has_line 'hint: it is read with the rights of "postgres".*--read-as root'
  velafs import stolen --from-dir "$data" --read-as root --links follow 2>&1 | has_line 'warning: "shadow" leads out of the directory'
  rm "$data/shadow"
  echo secret >"$data/base/secret"
  chmod 600 "$data/base/secret"
  refuses 4 'base/secret" cannot be read' velafs import other --from-dir "$data"
  rm "$data/base/secret"
  host_start "$data"
  refuses 4 'a server runs on it' velafs import other --from-dir "$data"
  host_stop "$data"
  velafs -q import other --from-dir "$data"
  tar -C "$data" -cf other.tar .
  velafs -q import other2 --from-tar other.tar
  for source in stolen other other2; do velafs -q unprotect "$source"; done
  velafs -q delete stolen other other2
}
check "root imports a user's directory with that user's rights" imported

# ---- What root cleans up, and where it exports to

deaf() {
  as www-data velafs -q clone main@nightly deaf
  spy_on www-data deaf
  local status=0
  timeout 60 velapg run deaf --timeout 3s -- true || status=$? # its library keeps the server from hearing signals
  equal "$status" 1 "exit status"
  ! velafs --json list | jq -r '.branches[].name' | has_line '^run-deaf' || fail "the clone is still there"
  ! pgrep -u www-data postgres || fail "its server still runs"
  velafs -q delete deaf
}
check "a throw-away clone goes even if its server takes no notice of signals" deaf

planted() {
  local out=$VELAFS_SANDBOX/target target=$VELAFS_SANDBOX/precious planter
  install -d -o www-data -m 777 "$out"
  touch planting
  as www-data bash -c "while [[ -e $PWD/planting ]]; do : >'$out/planted' && rm -f '$out/planted'; done" 2>/dev/null &
  planter=$!
  local i status
  for i in {1..5}; do
    status=0
    velafs -q export main --to-dir "$out" 2>said || status=$?
    cat said
    ((status == 0)) || continue
    [[ ! -e $out/planted ]] || fail "a stranger's file is in the export"
    equal "$(stat -c '%U %a' "$out")" "postgres 700"
    break
  done
  rm planting
  wait "$planter" || true
  echo kept >"$target"
  install -d -o www-data "$VELAFS_SANDBOX/his"
  as www-data ln -s "$target" "$VELAFS_SANDBOX/his/tar"
  refuses 4 'is a link that another user made' velafs export main --to-tar "$VELAFS_SANDBOX/his/tar"
  as www-data ln -sf /dev/null "$VELAFS_SANDBOX/his/tar"
  refuses 4 'is a link that another user made' velafs export main --to-tar "$VELAFS_SANDBOX/his/tar"
  ln -s /dev/null "$VELAFS_SANDBOX/his/roots"
  velafs -q export main --to-tar "$VELAFS_SANDBOX/his/roots"
  equal "$(cat "$target")" kept
}
check "root's exports take in nothing of a stranger's, and follow no link of his" planted

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

forge() { # the file, by a process of the server's
  sql mine "copy (select 1) to program 'cat >/dev/null; echo $(base64 -w0 forged) | base64 -d >postmaster.pid'" ||
    fail "the file could not be forged"
}
believed() {
  velapg -q start mine
  local url
  url=$(velapg url mine)
  lines() { sed -e "3s/.*/${1:-$(sed -n 3p "$mine/postmaster.pid")}/" -e '4s/.*/1/' -e '5s,.*,evil.example.com,' "$mine/postmaster.pid"; }
  lines >forged
  forge
  has_line evil <"$mine/postmaster.pid" || fail "the file is not forged"
  equal "$(velapg url mine)" "$url"
  equal "$(velapg --json status mine | jq -r '.state, .url' | tr '\n' ' ')" "running $url "
  equal "$(velapg --json status mine | jq .port)" "$(field mine port)"
  lines 9223372036854775807 >forged
  forge
  velapg status mine
  velapg -q stop mine
}
check "what a branch's postmaster.pid says of host, port and time is not believed" believed

version_file() {
  as www-data mv "$mine/PG_VERSION" "$mine/kept"
  as www-data ln -s /etc/shadow "$mine/PG_VERSION"
  refuses 4 'PG_VERSION" is no regular file' velapg start mine
  as www-data rm "$mine/PG_VERSION"
  as www-data ln -s kept "$mine/PG_VERSION"
  refuses 4 'PG_VERSION" is no regular file' velapg start mine
  as www-data rm "$mine/PG_VERSION"
  as www-data truncate -s 10G "$mine/PG_VERSION"
  refuses 4 'PG_VERSION" is too large' velapg start mine
  as www-data mv "$mine/kept" "$mine/PG_VERSION"
}
check "a PG_VERSION that is a link, or endless, is refused" version_file

logs() {
  local dir log
  velapg -q start mine
  dir=$(velapg --json status mine | jq -r .socket_dir)
  velapg -q stop mine
  log=$dir/postgres.log
  velapg logs mine -n 3 | has_line 'database system is shut down'
  equal "$(velapg logs mine -n 3 | wc -l)" 3
  velapg --json logs mine -n 1 | jq -e '.text | test("shut down")'
  as www-data bash -c "printf '\\e]0;title\\a\\tx\\n' >>'$log'"
  equal "$(on_terminal 'velapg logs mine -n 1' </dev/null)" $'\\x1b]0;title\\x07\tx'
  equal "$(velapg logs mine -n 1)" $'\e]0;title\a\tx' "the log on no terminal"
  timeout 20 velapg logs mine -n 1 -f >followed &
  local follower=$!
  wait_until 10 has_line title followed
  as www-data bash -c "echo added >>'$log'"
  wait_until 10 eval "[[ \$(tail -n 1 followed) == added ]]"
  kill "$follower"
  wait "$follower" 2>/dev/null || true
  as www-data rm "$log"
  as www-data ln -s /etc/shadow "$log"
  refuses 4 'is a symbolic link' velapg logs mine
  as www-data rm "$log"
  as www-data mkfifo "$log"
  { timeout 10 velapg logs mine 2>&1 || true; } | has_line 'is no regular file'
  as www-data rm "$log"
}
check "logs shows a regular file of the branch's user, and nothing that a terminal obeys" logs

no_setuid() {
  as www-data cp /bin/true "$mine/true"
  as www-data chmod 4755 "$mine/true"
  velafs export mine --to-dir "$VELAFS_SANDBOX/exported" 2>&1 | has_line 'were left out'
  equal "$(stat -c %a "$VELAFS_SANDBOX/exported/true")" 755
  as www-data rm "$mine/true"
}
check "a setuid program of a user's branch is not exported" no_setuid

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

exit $((failures > 0))
