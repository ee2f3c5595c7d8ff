#!/usr/bin/env bash
# What programs of a user's branch may do to root, who runs them by velapg.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"
source "$root_dir/integration/others.sh"

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
  velapg -q stop one
}
check "root's environment does not reach a branch's programs" environment

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

exit $((failures > 0))
