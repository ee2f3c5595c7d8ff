#!/usr/bin/env bash
# Pools of users who do not own the store, and leases of what is taken from a pool. www-data and nobody
# stand for the users; the data is postgres's.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

as() { # as USER COMMAND...
  runuser -u "$1" -- "${@:2}"
}

make_store 0
out=$VELAFS_SANDBOX/out
make_user second www-data
velafs -q policy set --of-store user_group=www-data
velafs -q approve main

ready() { # ready USER POOL: how many of its clones can be taken
  as "$1" velapg --json pool list | jq --arg pool "$2" '.pools[] | select(.pool == $pool).ready'
}
is_gone() {
  ! velafs show "$1" >/dev/null 2>&1
}

# ---- Pools of users ----------------------------------------------------------------------------------

users_pool() {
  as www-data velapg pool main --size 1
  equal "$(stat -c '%U %a' "$VELAFS_STORE/run/pools-$(id -u www-data)")" 'www-data 700'
  as www-data velapg --json take main >"$out"
  equal "$(field "$(jq -r .branch "$out")" owner)" www-data
  equal "$(field "$(jq -r .branch "$out")" shown_as)" www-data
  equal "$(as www-data psql -qXAtc 'select 1' "$(jq -r .url "$out")")" 1
  jq -e '.expires_at == null' "$out"
  as www-data velapg release "$(jq -r .branch "$out")"
  wait_until 30 is_gone "$(jq -r .branch "$out")" || fail "what was released is still there"
}
check "a user has pools of a source that is not his" users_pool

only_his() {
  refuses 3 'no pool "main"' velapg take main
  equal "$(velapg --json pool list)" '{"pools":[]}'
  { as second velapg take main 2>&1 || true; } | has_line 'no pool "main"'
  velapg -q pool main --size 1
  equal "$(field "$(velapg --json take main | jq -r .branch)" owner)" root
  wait_until 30 eval '[[ $(ready root main) == 1 ]]'
  as second velapg -q pool main --size 1
  equal "$(field "$(as second velapg --json take main | jq -r .branch)" owner)" second
  as second velapg -q pool stop main --all
  velapg -q pool stop main --all
  wait_until 30 eval '[[ $(ready www-data main) == 1 ]]' || fail "the other's pool has gone, too"
}
check "pools of one name are each user's own" only_his

not_by_label() {
  as second velafs -q clone main bait
  as second velapg -q start bait
  as second velafs -q label bait pool=main pool-state=ready
  as www-data velapg --json take main | jq -e '.branch != "bait"'
  { as www-data velapg release bait 2>&1 || true; } | has_line 'belongs to a pool of user "second"'
  velafs -q label bait pool-state=taken
  { as www-data velapg renew bait --lease 1h 2>&1 || true; } | has_line 'belongs to a pool of user "second"'
  as second velapg -q stop bait
  velafs -q chown bait www-data
  velafs --json show bait | jq -e '.labels == {}'
  velafs -q delete bait
}
check "no branch of another's gets into a pool, neither by its labels nor when it is given away" not_by_label

refreshed() {
  velapg -q start main
  sql main 'create table later ()'
  velapg -q stop main
  as www-data velapg -q pool refresh main
  as www-data velapg --json take main >"$out"
  equal "$(as www-data psql -qXAtc "select to_regclass('later')" "$(jq -r .url "$out")")" later
  equal "$(velafs --json list --label pool-state=base | jq '.branches | length')" 1 "states"
  as www-data velapg -q pool stop main --all
  equal "$(velafs --json list | jq -c '[.branches[].name]')" '["main"]'
  equal "$(velapg --json status | jq -c .servers)" '[]'
}
check "such a pool is refreshed and stopped as any" refreshed

no_role() {
  { as nobody velapg pool main --size 1 2>&1 || true; } | has_line 'error: .*role'
  [[ ! -e $VELAFS_STORE/run/pools-$(id -u nobody) ]] || fail "there is a place for his pools"
}
check "who has no role has no pools" no_role

# ---- Leases -------------------------------------------------------------------------------------------

lease_over() {
  local branch pid
  velapg -q pool main --size 1
  velapg --json take main --lease 3s >"$out"
  branch=$(jq -r .branch "$out")
  pid=$(jq .pid "$out")
  equal "$(jq -r .expires_at "$out")" "$(field "$branch" expires_at)"
  wait_until 30 is_gone "$branch" || fail "it was not given back"
  has_ended "$pid" || fail "its server still runs"
}
check "what is taken is given back by itself when its lease is over" lease_over

renewed() {
  local branch
  velapg --json take main --lease 1h >"$out"
  branch=$(jq -r .branch "$out")
  velapg --json renew "$branch" --lease 5h >"$out.renewed"
  jq -e --arg branch "$branch" '.branch == $branch and .pool == "main"' "$out.renewed"
  at_least "$(($(date -d "$(jq -r .expires_at "$out.renewed")" +%s) - $(date -d "$(jq -r .expires_at "$out")" +%s)))" \
    14000 "seconds won"
  refuses 2 'no lease is given' velapg renew "$branch"
  velafs -q policy set --of-store lease=3s
  velapg renew "$branch"
  wait_until 30 is_gone "$branch" || fail "it was not given back"
  branch=$(velapg --json take main | jq -r .branch)
  wait_until 30 is_gone "$branch" || fail "the policy's lease does not hold"
  refuses 4 'does not belong to a pool' velapg renew main --lease 1h
  velafs -q policy unset --of-store lease
  velapg -q pool stop main --all
  velafs -q gc --trash
}
check "a lease is renewed, and has a default by policy" renewed
