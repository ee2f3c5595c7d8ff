#!/usr/bin/env bash
# A store under mixed load for long: rounds of clones, servers, pgbench, DDL, freezes and deletions, after
# each of which all is as it was. Measures after every round what the daemon and the store take, and fails
# when that grows; when a command takes longer than it may; when data is lost.
#
#   sudo integration/soak.sh
#
# VELAFS_MINUTES (60) says for how long, VELAFS_CYCLES (100) how often a clone is made, started, asked and
# deleted at the end. soak_test.sh is the same for about a minute.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"
seconds=$((${VELAFS_MINUTES:-60} * 60))
seconds=${VELAFS_SOAK_SECONDS:-$seconds}
cycles=${VELAFS_CYCLES:-100}
verb_seconds=60 # what a command may take, on a busy machine

# Whatever waits for ever fails.
for program in velafs velapg; do
  path=$(command -v $program)
  # shellcheck disable=SC2317
  eval "$program() { timeout --kill-after 5 $verb_seconds $path \"\$@\" || { local s=\$?; ((s != 124)) || echo \"$program \$* hangs\" >&2; return \$s; }; }"
done

make_store 1

# ---- What is measured

status_field() { # status_field NAME: of the daemon
  sed -n "s/^$1:[[:space:]]*\([0-9]*\).*/\1/p" "/proc/$(daemon_pid)/status"
}
samples=$VELAFS_SANDBOX/samples.tsv
columns=(round rss_kb descriptors threads catalog_kb store_kb)
printf '%s\t' "${columns[@]}" >"$samples"
echo >>"$samples"

# Its log grows to a few MiB, and then begins anew. Without the audit log, which only grows: up to 512 bytes for
# each command.
catalog_kb() {
  local entries
  entries=$(velafs --json audit -n 1 | jq '.entries[0].id // 0')
  echo $(($(du --block-size=1024 "$VELAFS_STORE/catalog.db" | cut -f1) - entries / 2))
}
# Page files of deleted files go with the next upkeep.
settled_store_kb() {
  local now last=0
  for _ in {1..20}; do
    now=$(du --total --one-file-system --block-size=1024 "$VELAFS_STORE/packs" "$VELAFS_STORE/layers" "$VELAFS_STORE"/run/*/ |
      tail -n 1 | cut -f1)
    ((now != last)) || break
    last=$now
    sleep 1.1
  done
  echo "$now"
}
sample() { # sample ROUND
  printf '%s\t' "$1" "$(status_field VmRSS)" "$(find "/proc/$(daemon_pid)/fd" | wc -l)" \
    "$(status_field Threads)" "$(catalog_kb)" "$(settled_store_kb)" >>"$samples"
  echo >>"$samples"
}

# grows COLUMN: by how much it would, on the least-squares line from the third of all rounds on.
grows() {
  awk -v column="$1" '
    NR == 1 { for (i = 1; i <= NF; ++i) if ($i == column) c = i; next }
    { x[++n] = $1; y[n] = $c }
    END {
      for (i = int(n / 3) + 1; i <= n; ++i) { ++k; sx += x[i]; sy += y[i]; sxx += x[i] ^ 2; sxy += x[i] * y[i] }
      d = k * sxx - sx ^ 2
      printf "%d\n", (d > 0 ? (k * sxy - sx * sy) / d * (x[n] - x[n - k + 1]) : 0)
    }' "$samples"
}

# ---- A round

ddl() { # ddl BRANCH: until it is told to stop
  local i
  for ((i = 0; ; ++i)); do
    on "$1" psql -qXAt -v ON_ERROR_STOP=1 <<SQL >/dev/null 2>&1 || return 0
create table t$i as select g as i, repeat('x', 500) as pad from generate_series(1, 2000) g;
create index on t$i (i);
vacuum full t$i;
truncate t$i;
drop table t$i;
SQL
  done
}

round() { # round NUMBER
  local n=$1 load ddl
  velafs -q clone main "work-$n"
  velapg -q start "work-$n"
  on "work-$n" pgbench --no-vacuum --client 2 --time 100000 >/dev/null 2>&1 &
  load=$!
  ddl "work-$n" &
  ddl=$!
  local i
  for i in 1 2; do
    velafs -q bookmark create "work-$n@b$i"
    velafs -q clone "work-$n" "now-$n-$i"
    velafs -q clone "work-$n@b$i" "then-$n-$i"
    velafs list >/dev/null
  done
  velapg -q start "now-$n-1"
  invariant_holds "now-$n-1"
  velafs -q clone "now-$n-1" "again-$n"
  velafs -q delete --force "then-$n-1"
  velapg -q stop "now-$n-1"
  invariant_holds "work-$n"
  velapg -q restart "work-$n" # which ends its clients
  wait "$load" "$ddl" || true
  invariant_holds "work-$n"
  velapg -q stop "work-$n" --mode immediate
  velafs -q bookmark delete "work-$n@b1"
  velafs -q delete "work-$n" "now-$n-1" "again-$n"
  velafs -q delete --purge "now-$n-2" "then-$n-2"
  velafs -q gc --trash
  equal "$(velafs --json list | jq -c '[.branches[].name]')" '["main"]'
  sample "$n"
}

rounds() {
  local deadline=$(($(now_ms) + seconds * 1000)) n
  for ((n = 1; n <= 4 || $(now_ms) < deadline; ++n)); do round "$n"; done
  echo "$((n - 1)) rounds"
}
check "rounds of mixed load for $seconds seconds" rounds

bounded() { # bounded COLUMN MOST UNIT
  local grown
  at_least "$(wc -l <"$samples")" 5 "number of samples, and a head,"
  grown=$(grows "$1")
  column -t "$samples" | tail -n 12
  at_most "$grown" "$2" "growth of $1 over the rounds, in $3,"
}
show() { # show COLUMN: how it began and ended
  local i
  for i in "${!columns[@]}"; do
    [[ ${columns[i]} != "$1" ]] || awk -v c=$((i + 1)) 'NR == 2 { a = $c } END { print a " to " $c }' "$samples"
  done
}
check "the daemon's memory does not grow ($(show rss_kb) KiB)" bounded rss_kb 16384 KiB
check "its descriptors do not grow ($(show descriptors))" bounded descriptors 4 number
check "the catalog does not grow but for its audit log ($(show catalog_kb) KiB)" bounded catalog_kb 512 KiB
check "the store does not grow ($(show store_kb) KiB)" bounded store_kb 2048 KiB
few_threads() {
  at_most "$(status_field Threads)" 100 "number of the daemon's threads"
}
check "its threads stay few ($(show threads))" few_threads

# ---- Many short lives

short_lives() {
  local i before after
  before=$(settled_store_kb)
  for ((i = 1; i <= cycles; ++i)); do
    velafs -q clone main short
    velapg -q start short
    equal "$(sql short 'select count(*) from pgbench_branches')" 1
    velapg -q stop short --mode immediate
    velafs -q delete --purge short
  done
  after=$(settled_store_kb)
  at_most $((after - before)) 1024 "growth of the store in KiB, from $before,"
}
check "$cycles clones started, asked and deleted leave the store as it was" short_lives

closed() {
  velafs umount
  equal "$(find "$VELAFS_STORE/layers" -mindepth 1 -maxdepth 1 | wc -l)" 0 "number of layers of main, which nobody wrote to,"
  equal "$(find "$VELAFS_STORE/run" -mindepth 1 -maxdepth 1 -type d | wc -l)" 0 "number of directories in run/"
}
check "and nothing of them is left in it" closed
