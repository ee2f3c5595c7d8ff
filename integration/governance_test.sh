#!/usr/bin/env bash
# A store that a team shares: who may do what, what policies ask for, and what the audit log says of it. A
# daemon of root serves users who are in its groups, or not; users of the system stand for them.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

as() { # as USER COMMAND...
  runuser -u "$1" -- "${@:2}"
}
by() { # by USER COMMAND...: in which velafs is run by that user; for the subshell of a case
  local who=$1
  shift
  # shellcheck disable=SC2317
  velafs() { as "$who" velafs "$@"; }
  "$@"
}
make_store 0
velafs -q bookmark create main@nightly
socket=$VELAFS_STORE/run/api.sock

closed() {
  equal "$(stat --format %a "$socket")" 600
  ! as postgres velafs list 2>/dev/null || fail "it lets everybody in"
}
check "a store is its owner's at first" closed

opened() {
  velafs -q policy set --of-store user_group=postgres viewer_group=www-data
  equal "$(stat --format %a "$socket")" 666
  velafs --json policy show | jq -e '.policies[] | select(.key == "user_group") |
    .value == "postgres" and .from == "store"'
  as www-data velafs --json list | jq -e '.branches | length == 1'
}
check "groups that policies name are let in" opened

check "who is in no group sees nothing" by nobody refuses 4 'user "nobody" needs the viewer role' velafs list
check "a viewer makes nothing" by www-data refuses 4 'needs the user role' velafs clone main@nightly mine
check "a user does not import" by postgres refuses 4 'needs the admin role' velafs import x --from-dir "$VELAFS_SANDBOX/cluster"
check "a user does not set policies" by postgres refuses 4 'needs the admin role' velafs policy set --of-store ttl=1d
check "a user does not read the audit log" by postgres refuses 4 'needs the admin role' velafs audit
check "a user does not unmount" by postgres refuses 4 'needs the admin role' velafs umount
check "a user takes nothing that is not approved" by postgres refuses 4 '"main@nightly" belongs to "root" and is not approved' velafs clone main@nightly pr-1
check "a policy there is not is wrong usage" refuses 2 'no policy "tll"' velafs policy set --of-store tll=1d
check "a value that is none is wrong usage" refuses 2 '"soon" is not a duration' velafs policy set main ttl=soon

pull_request() {
  velafs -q approve main@nightly
  velafs -q policy set --source main ttl=2d name_pattern='pr-[0-9]+' max_branches_per_owner=2
  as postgres velafs -q clone main@nightly pr-1
  equal "$(field pr-1 owner)" postgres
  [[ $(field pr-1 expires_at) != null ]] || fail "it never expires"
}
check "a user clones what was approved, and it has the time the policy gives" pull_request
used() {
  local metrics
  metrics=$(velafs metrics)
  has_line -xF 'velafs_user_branches{user="postgres"} 1' <<<"$metrics"
  has_line -xF 'velafs_user_branches{user="root"} 1' <<<"$metrics"
  has_line -E '^velafs_user_own_bytes[{]user="postgres"[}] [0-9]+$' <<<"$metrics"
  has_line -xF 'velafs_user_calls_waiting{user="postgres"} 0' <<<"$metrics"
  velafs doctor | has_line -F 'users: "postgres" has 1 branch'
  ! by www-data velafs metrics | has_line '{user=' || fail "a viewer is told who uses what"
}
check "an admin sees who uses what" used
check "what was not approved stays closed" by postgres refuses 4 '"main" belongs to "root" and is not approved' velafs clone main pr-2
check "a name is as the policy wants it" by postgres refuses 4 'pr-\[0-9\]\+' velafs clone main@nightly mine
check "a branch of somebody else is not changed" by postgres refuses 4 '"main" belongs to "root"' velafs delete main
check "nor promoted onto" by postgres refuses 4 '"main" belongs to "root"' velafs promote pr-1 --onto main

too_many() {
  refuses 4 'owns 2 branches' velafs clone main pr-9 --owner postgres
}
promoted() {
  velapg start pr-1 >/dev/null
  sql pr-1 'create table merged()'
  velapg stop pr-1 >/dev/null
  velafs -q promote pr-1 --onto main
  as postgres velafs -q delete pr-1
  velapg start main >/dev/null
  equal "$(sql main "select count(*) from pg_class where relname = 'merged'")" 1
  velapg stop main >/dev/null
}
expired() {
  as postgres velafs -q clone main@nightly pr-3 --ttl 1s
  wait_until 60 eval '! velafs --json show pr-3 >/dev/null 2>&1'
}
as postgres velafs -q clone main@nightly pr-2
check "an owner has no more branches than the policy allows" too_many
check "a pull request that passed is promoted by an admin, and deleted by its user" promoted
check "one that is forgotten expires" expired

entries() { # entries FILTER: of the audit log, how many jq lets pass
  velafs --json audit | jq "[.entries[] | select($1)] | length"
}
# Each case of a refusal asked twice: for words and for JSON.
logged() {
  equal "$(entries '.user == "nobody"')" 0 "entries of what only looked"
  equal "$(entries '.user == "www-data" and .result == "refused" and .verb == "clone"')" 2
  equal "$(entries '.user == "postgres" and .verb == "clone" and .result == "done"')" 3
  equal "$(entries '.user == "postgres" and .result == "refused"')" 16
  equal "$(entries '.user == "postgres" and .verb == "umount" and .result == "refused"')" 2
  equal "$(entries ".verb == \"expire\" and .user == \"root\" and .pid == $(daemon_pid) and .subjects == [\"pr-3\"]")" 1
  equal "$(entries '.verb == "promote" and .subjects == ["main"] and .source == "pr-1"')" 3
  velafs audit --branch pr-3 | has_line -E 'expire +pr-3' || fail "no entry of pr-3"
}
check "the audit log tells all of it" logged

verified() {
  local head
  head=$(velafs --json audit verify | jq -r .head)
  velafs -q note main x
  velafs -q audit verify --noted "$head"
  refuses 6 'entry 1 is not the one that was noted' velafs audit verify --noted "1:${head#*:}"
}
check "the audit log is whole" verified

outlived() {
  velafs -q delete --purge pr-2
  velafs audit --branch pr-2 --limit 1 | has_line -E 'delete +pr-2' || fail "the deletion is not in the log"
  equal "$(velafs --json audit --branch pr-2 | jq -r '.entries[0].verb')" clone
}
check "entries outlive the branch they speak of" outlived

closed_again() {
  velafs -q policy unset --of-store user_group viewer_group
  equal "$(stat --format %a "$socket")" 600
}
check "without groups a store is its owner's again" closed_again

undaemoned() {
  local last
  velafs -q umount
  velafs -q note main y
  ! velafs -q note none y 2>/dev/null || fail "it wrote on what is not there"
  last=$(velafs --json audit --limit 3)
  equal "$(jq -c '[.entries[] | [.verb, .user, .result]]' <<<"$last")" \
    '[["umount","root","done"],["note","root","done"],["note","root","not_found"]]'
  jq -e '.entries | all(.pid > 0)' <<<"$last"
  velafs -q audit verify
}
check "commands without a daemon leave entries too" undaemoned

trimmed() {
  velafs -q policy set --of-store audit_max_entries=5
  velafs -q mount
  wait_until 60 eval '(($(velafs --json audit | jq ".entries | length") <= 5))'
  velafs --json audit | jq -e --argjson pid "$(daemon_pid)" '.entries | any(.verb == "audit-trim" and .pid == $pid)'
  velafs -q audit verify
  refuses 3 'entry 1, which was noted, has been trimmed' velafs audit verify --noted "1:$(printf '0%.0s' {1..64})"
}
check "the daemon trims the audit log as the policy says, and says so" trimmed

to_syslog() {
  # In a /dev of its own, where a log listens.
  # shellcheck disable=SC2016
  unshare --mount bash -ec '
    mount -t tmpfs tmpfs /dev
    mknod -m 666 /dev/null c 1 3
    perl -MIO::Socket::UNIX -e '\''$log = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "/dev/log") or die;
      $| = 1; while ($log->recv($message, 65536), length $message) { print "$message\n" }'\'' >"$1" &
    until [[ -S /dev/log ]]; do sleep 0.02; done
    velafs audit ship --to syslog
    velafs -q note main "not to be told"
    velafs audit ship --to syslog
    for _ in {1..1000}; do
      tail -n 1 "$1" | grep -q "\"verb\":\"note\"" && break
      sleep 0.02
    done
    kill $!' bash "$VELAFS_SANDBOX/messages"
  cat messages
  equal "$(grep -c '^<85>.* velafs\[[0-9]*\]: {"at":' messages)" "$(wc -l <messages)" "number of messages that are entries"
  equal "$(tail -n 1 messages | sed 's/^[^{]*//' | jq -r '.verb, .subjects[0]' | tr '\n' ' ')" "note main "
  ! has_line 'not to be told' messages || fail "a note is in it"
  equal "$(sed 's/^[^{]*//' messages | jq .id | uniq -d)" "" "what was sent twice"
}
check "entries go to the system's log, each once" to_syslog
