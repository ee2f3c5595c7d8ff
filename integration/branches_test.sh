#!/usr/bin/env bash
# The life of a branch under a real PostgreSQL: reset, promote, rename, the trash, expiry, and what is refused,
# while another branch is under load; then the same without a daemon.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

make_store 1
velapg -q start main
sql main 'create table state (what text); insert into state values ($$first$$)'

# Load on a branch of its own, from here to the end; its transactions must all be whole.
velafs -q clone main busy
velapg -q start busy
on busy pgbench --no-vacuum --client 4 --jobs 2 --time 600 >"$VELAFS_SANDBOX/pgbench.log" 2>&1 &
load=$!
load_goes_on() {
  ! has_ended "$load" || fail "pgbench has ended: $(tail -n 3 "$VELAFS_SANDBOX/pgbench.log")"
}

state_of() { # of a running branch
  sql "$1" 'select what from state'
}
started_state_of() { # starts it and leaves it stopped
  velapg -q start "$1"
  state_of "$1"
  velapg -q stop "$1"
}
set_state() {
  sql "$1" "update state set what = '$2'"
}

# ---- Reset

reset_to_present() {
  local url port id
  velafs -q clone main dev --ttl 7d --label team=db --note mine
  id=$(field dev id)
  velapg -q start dev
  set_state dev changed
  url=$(velapg url dev)
  port=$(field dev port)
  refuses 4 'cannot reset "dev": a server runs on "dev", process [0-9]+' velafs reset dev
  velafs reset dev 2>"$VELAFS_SANDBOX/err" || true
  has_line -F 'hint: stop it first: velapg stop dev' <"$VELAFS_SANDBOX/err"
  velapg -q stop dev

  set_state main second # the parent goes on
  own_bytes_are_counted() { velafs --json reset dev --dry-run | jq -e '.lost_bytes > 0' >/dev/null; }
  wait_until 10 own_bytes_are_counted || fail "nothing would be lost" # a count may be 5 s old
  velafs --json reset dev --dry-run | jq -e '.dry_run and .source == "main"'
  equal "$(started_state_of dev)" changed
  velafs --json reset dev | jq -e '.source == "main" and .own_bytes < 100000'
  velapg -q start dev
  equal "$(psql -qXAt -c 'select what from state' "$url")" second "the state at the same URL"
  equal "$(velapg url dev)" "$url"
  equal "$(field dev port)" "$port"
  equal "$(field dev id)" "$id"
  equal "$(field dev note)" mine
  equal "$(field dev labels.team)" db
  [[ $(field dev expires_at) != null ]] || fail "the expiry is gone"
  velapg -q stop dev
}
check "a reset gives the running parent's present, at the same URL" reset_to_present

reset_seen_at_once() {
  velafs -q bookmark create dev@clean
  echo spoiled >"$mount_dir/dev/PG_VERSION"
  touch "$mount_dir/dev/extra"
  exec 7<"$mount_dir/dev/PG_VERSION"
  velafs -q reset dev --to dev@clean
  equal "$(cat "$mount_dir/dev/PG_VERSION")" "$(cat "$VELAFS_SANDBOX/cluster/PG_VERSION")"
  [[ ! -e $mount_dir/dev/extra ]] || fail "a file made since is still there"
  ! cat <&7 2>"$VELAFS_SANDBOX/err" || [[ -z $(cat <&7) ]] || fail "an old file can be read on"
  exec 7<&-
  checksums_hold dev
}
check "the mount shows the new state at once" reset_seen_at_once

# ---- Promote and rename

promoted() {
  velapg -q start dev
  set_state dev promoted
  refuses 4 'a server runs on "dev"' velafs promote dev --onto main
  velapg -q stop dev
  refuses 4 'a server runs on "main"' velafs promote dev --onto main
  velapg -q stop main
  refuses 4 'it was imported' velafs reset main
  velafs -q protect main --for 1h
  refuses 4 'branch "main" is protected' velafs promote dev --onto main
  velafs -q unprotect main
  velafs --json promote dev --onto main | jq -e '.name == "main" and .bookmark == "main@before-promote-1"'
  equal "$(started_state_of main)" promoted
  equal "$(started_state_of dev)" promoted
  checksums_hold main
  velafs -q clone main@before-promote-1 old-main
  equal "$(started_state_of old-main)" second
  velafs -q delete --purge old-main
}
check "a promoted branch's state is the target's, and the old one a bookmark" promoted

renamed() {
  velafs -q clone dev child
  velapg -q start dev
  refuses 4 'a server runs on "dev"' velafs rename dev feature
  velapg -q stop dev
  refuses 7 'branch "main" exists' velafs rename dev main
  ls "$mount_dir/dev" >/dev/null
  velafs -q rename dev feature
  [[ ! -e $mount_dir/dev && -d $mount_dir/feature/base ]] || fail "the mount has: $(ls "$mount_dir")"
  equal "$(field child parent)" feature
  velafs bookmark list feature | has_line '^feature@clean'
  velafs -q clone main dev # another one of the old name
  equal "$(field child parent)" feature
  equal "$(started_state_of feature)" promoted
  velafs tree | has_line '^   └─ child ' || fail "the tree is: $(velafs tree)"
  velafs -q delete --purge dev
}
check "a renamed branch is seen under its new name, by mount, clones and bookmarks" renamed

# ---- The trash

trashed() {
  local port
  port=$(field feature port)
  velapg -q start feature
  refuses 4 'a server runs on "feature"' velafs delete feature
  velapg -q stop feature
  velafs -q delete feature
  [[ ! -e $mount_dir/feature ]] || fail "it is still there"
  velafs --json list | jq -e '[.branches[].name] | index("feature") == null'
  velafs --json list --trash | jq -e '[.branches[] | [.name, .state]] == [["feature", "deleted"]]'
  equal "$(started_state_of child)" promoted # needs what its parent holds
  refuses 3 'no branch "nobody" in the trash' velafs undelete nobody
  velafs -q clone main feature
  refuses 7 'branch "feature" exists' velafs undelete feature
  velafs -q undelete feature --as back
  equal "$(field back port)" "$port"
  equal "$(started_state_of back)" promoted
  velafs bookmark list back | has_line '^back@clean'
}
check "a deleted branch comes back from the trash with its data, bookmarks and port" trashed

emptied() {
  local before freed
  velapg -q start feature
  sql feature 'create table filler as select repeat(i::text, 100) from generate_series(1, 50000) i; checkpoint'
  velapg -q stop feature
  velafs -q delete feature
  velafs --json gc --trash --older-than 1h | jq -e '.branches == [] and .freed_bytes == 0'
  before=$(du -s --block-size=1 "$VELAFS_STORE/layers" | cut -f1)
  freed=$(velafs --json gc --trash | jq .freed_bytes)
  at_least "$freed" 10000000 "bytes freed"
  at_most "$(du -s --block-size=1 "$VELAFS_STORE/layers" | cut -f1)" $((before - freed / 2)) "what is left in layers/"
  refuses 3 'in the trash' velafs undelete feature
  velafs list --trash | has_line 'the trash is empty'
}
check "emptying the trash frees the space, and says how much" emptied

# ---- Expiry

is_expired() {
  velafs --json list | jq -e --arg name "$1" '[.branches[].name] | index($name) == null' >/dev/null
}
expired() {
  velafs -q clone main guarded
  velafs -q protect guarded
  velafs -q ttl guarded 1s
  velafs -q clone main running
  velapg -q start running
  velafs -q ttl running 1s
  velafs -q clone main brief --ttl 1s
  velafs -q bookmark create main@brief --keep 1s
  wait_until 30 is_expired brief || fail "the daemon has not deleted it"
  wait_until 30 bookmark_is_gone main@brief || fail "the bookmark is still there"
  wait_until 30 is_expired running || fail "the server kept its branch"
  velafs --json expire --dry-run | jq -e '[.kept[].name] == ["guarded"]'
  [[ ! -e $mount_dir/brief ]] || fail "it is still under the mount"
  velafs -q undelete brief
  equal "$(field brief expires_at)" null
  velafs -q delete --purge brief
  velafs -q unprotect guarded
  wait_until 30 is_expired guarded || fail "it outlives its protection"
}
bookmark_is_gone() {
  velafs --json bookmark list | jq -e --arg name "$1" '[.bookmarks[].name] | index($name) == null' >/dev/null
}
check "the daemon deletes what has expired, its server or not, but for what is protected" expired

# ---- What is said of branches

told() {
  velafs -q label child team=db kind=test
  velafs -q label child kind-
  velafs -q note child 'waits for review'
  velafs -q chown child nobody
  velafs -q label child team=web # root still may
  velafs --json show child | jq -e '.labels == {"team": "web"} and .note == "waits for review" and .owner == "nobody"'
  velafs --json list --owner nobody --label team=web | jq -e '[.branches[].name] == ["child"]'
  velafs --json list --state running | jq -e '[.branches[].name] == ["busy"]'
  refuses 2 'asleep' velafs list --state asleep
  refuses 3 'no label "kind"' velafs label child kind-
}
check "labels, note and owner are set, and lists filtered by them" told

cloned_at() {
  local then_at
  velafs -q bookmark create main@early
  then_at=$(velafs --json bookmark list main | jq -r '.bookmarks[-1].created_at')
  velafs --json clone main at-early --at "$then_at" | jq -e '.parent_bookmark == "main@early"'
  velafs --json clone main at-local --at "$(date -d "$then_at" '+%Y-%m-%d %H:%M:%S')" |
    jq -e '.parent_bookmark == "main@early"'
  refuses 3 'no bookmark of "main" from 2001-01-01T00:00:00Z or before' \
    velafs clone main at-never --at 2001-01-01T00:00:00Z
  refuses 2 'is not a time' velafs clone main at-never --at tomorrow
  velafs -q delete --purge at-early at-local
}
check "a clone of a time is of the newest bookmark from then or before" cloned_at

load_was_whole() {
  load_goes_on
  kill "$load"
  wait "$load" || true
  invariant_holds busy
  velapg -q stop busy
  checksums_hold busy
}
check "the branch under load never noticed" load_was_whole

# ---- Many

listed_fast() {
  local i start best=1000000 took
  for ((i = 0; i < 100; ++i)); do velafs -q clone main "many-$i"; done
  for ((i = 0; i < 5; ++i)); do
    start=$(now_ms)
    velafs --json list >"$VELAFS_SANDBOX/list.json"
    took=$(($(now_ms) - start))
    ((took >= best)) || best=$took
  done
  jq -e '.branches | length > 100' "$VELAFS_SANDBOX/list.json"
  at_most "$best" 500 "milliseconds to list 100 branches"
}
check "100 branches are listed at once" listed_fast

# ---- Without a daemon

without_daemon() {
  velafs -q umount
  velafs --json reset many-1 | jq -e '.path == null and .source == "main"'
  velafs --json promote many-1 --onto many-2 | jq -e '.bookmark == "many-2@before-promote-1"'
  velafs -q rename many-1 one
  velafs -q delete one
  velafs -q undelete one --as two
  velafs -q delete --purge two
  velafs -q ttl many-3 1s
  wait_until 10 has_expired many-3
  velafs -q delete many-4
  velafs --json gc --trash | jq -e '[.branches[].name] | index("many-3", "many-4") != null'
  refuses 3 'no branch "many-3"' velafs show many-3
}
has_expired() {
  velafs --json expire | jq -e --arg name "$1" '[.branches[].name] | index($name) != null' >/dev/null
}
check "without a daemon the commands do all the same" without_daemon

remounted() {
  velafs -q mount
  equal "$(started_state_of back)" promoted
  equal "$(started_state_of main)" promoted
  checksums_hold back
}
check "after all that the branches start" remounted
