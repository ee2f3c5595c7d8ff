#!/usr/bin/env bash
# Many branches at once, and servers on several of them. VELAFS_BRANCHES (200) and VELAFS_SERVERS (6) say
# how many.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"
branches=${VELAFS_BRANCHES:-200}
servers=${VELAFS_SERVERS:-6}

make_store 1
daemon_kb() { # daemon_kb FIELD
  sed -n "s/^$1:[[:space:]]*\([0-9]*\).*/\1/p" "/proc/$(daemon_pid)/status"
}
before=$(daemon_kb VmRSS)

cloned() {
  local i
  for ((i = 1; i <= branches; ++i)); do
    # A tree of some depth: every tenth from the one before.
    if ((i % 10 == 0)); then velafs -q clone "b$((i - 1))" "b$i"; else velafs -q clone main "b$i"; fi
  done
  equal "$(find "$mount_dir" -mindepth 1 -maxdepth 1 | wc -l)" $((branches + 1)) "number of directories"
}
check "$branches clones" cloned

cloned_at_once() {
  local i pids=() pid start
  start=$(now_ms)
  for i in {1..16}; do
    velafs -q clone main "once$i" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid"; done
  at_most $(($(now_ms) - start)) 2000 "milliseconds of 16 clones"
  start=$(now_ms)
  velafs -q delete --purge 'once*'
  at_most $(($(now_ms) - start)) 1000 "milliseconds of deleting them"
}
check "16 more at once, and deleted at once" cloned_at_once

listed() {
  velafs list >/dev/null
  local start
  start=$(now_ms)
  velafs list | wc -l
  velafs --json list | jq -e ".branches | length == $branches + 1"
  velafs tree >/dev/null
  velafs stats
  at_most $(($(now_ms) - start)) 4000 "milliseconds of two lists, a tree and stats"
}
check "they are listed at once" listed

started() {
  local i
  for ((i = 1; i <= servers; ++i)); do velapg -q start "b$((i * branches / servers))"; done
  equal "$(velafs --json list | jq '[.branches[] | select(.state == "running")] | length')" "$servers"
}
check "servers on $servers of them" started

all_at_work() {
  local i pids=() pid
  for ((i = 1; i <= servers; ++i)); do
    on "b$((i * branches / servers))" pgbench --no-vacuum --client 2 --transactions 100 >/dev/null &
    pids+=($!)
  done
  listed
  for pid in "${pids[@]}"; do wait "$pid"; done
  for ((i = 1; i <= servers; ++i)); do
    invariant_holds "b$((i * branches / servers))"
    equal "$(sql "b$((i * branches / servers))" 'select count(*) from pgbench_history')" 200 "number of transactions"
  done
}
check "all of them work at the same time, each for itself" all_at_work

touched() {
  local i
  for ((i = 1; i <= branches; ++i)); do
    cmp "$mount_dir/b$i/PG_VERSION" "$VELAFS_SANDBOX/cluster/PG_VERSION"
    ls "$mount_dir/b$i/base/1" >/dev/null
  done
  at_most $((($(daemon_kb VmRSS) - before) / (branches + 10 * servers))) 2048 "KiB of the daemon's memory a branch"
}
check "every branch opened; the daemon takes no more than it should" touched
walked() {
  du -s "$mount_dir" >/dev/null
  at_most $(($(daemon_kb RssAnon) / 1024)) $((80 + branches / 50)) "MiB of the daemon's memory after a walk through all branches"
}
check "a walk through all branches takes bounded memory" walked
echo "        the daemon: $((before / 1024)) MiB before, $(($(daemon_kb VmRSS) / 1024)) MiB now, $(($(daemon_kb VmHWM) / 1024)) MiB at most"

deleted() {
  local i names=()
  for ((i = 1; i <= servers; ++i)); do velapg -q stop "b$((i * branches / servers))" --mode immediate; done
  for ((i = 1; i <= branches; ++i)); do names+=("b$i"); done
  local start
  start=$(now_ms)
  velafs -q delete --purge "${names[@]}"
  at_most $(($(now_ms) - start)) 3000 "milliseconds of deleting all of them in one call"
  velafs --json list | jq -e '[.branches[].name] == ["main"]'
  equal "$(find "$VELAFS_STORE/layers" -type f | wc -l)" 0 "number of files in layers/"
}
check "and deleted, to the last byte" deleted
