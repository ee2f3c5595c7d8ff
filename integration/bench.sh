#!/usr/bin/env bash
# Measures a clone against the same PGDATA copied on the host's filesystem, in interleaved rounds of
# one run, and prints a Markdown table.
#
#   sudo ./integration/bench.sh             VELAFS_ROUNDS (5), VELAFS_SECONDS (10, of each pgbench
#                                           run) and VELAFS_SCALE (50; 15 MB each) set how much
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"
rounds=${VELAFS_ROUNDS:-5}
seconds=${VELAFS_SECONDS:-10}
scale=${VELAFS_SCALE:-50}

workloads=(select-only simple-update tpcb-like)
client_counts=(1 8)
declare -A samples # "name" -> numbers, one for each round

note() { # note NAME NUMBER
  samples[$1]+="$2 "
}

# The middle of some numbers, and the best of them.
median() {
  tr ' ' '\n' <<<"$*" | sed '/^$/d' | sort -g | awk '{ v[NR] = $1 }
    END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}
highest() {
  tr ' ' '\n' <<<"$*" | sed '/^$/d' | sort -g | tail -n 1
}
lowest() {
  tr ' ' '\n' <<<"$*" | sed '/^$/d' | sort -g | head -n 1
}

timed() { # timed NAME COMMAND...: notes the milliseconds it took
  local name=$1 start=${EPOCHREALTIME/[.,]/}
  shift
  "$@" >/dev/null
  note "$name" "$(awk -v us="$((${EPOCHREALTIME/[.,]/} - start))" 'BEGIN { printf "%.1f", us / 1000 }')"
}

progress() {
  echo "$(date +%T) $*" >&2
}

# What velapg set for a clone's server, places apart: the server on the host gets the same.
common_settings() { # common_settings BRANCH
  sql "$1" "select '-c', name || '=' || setting from pg_settings where source = 'command line'
    and setting ~ '^[a-z0-9._]+\$' and name not in ('port', 'cluster_name', 'listen_addresses')" | tr '|' '\n'
}

run_workloads() { # run_workloads WHERE COMMAND...: COMMAND leads to the server
  local where=$1 workload clients tps
  shift
  # A copy that the host is still writing to its disk would slow its own server, not the clone's.
  sync --file-system "$VELAFS_SANDBOX"
  for workload in "${workloads[@]}"; do
    for clients in "${client_counts[@]}"; do
      # Equal conditions: nothing dirty, and no checkpoint under way.
      "$@" psql -qX -c checkpoint
      tps=$("$@" pgbench --no-vacuum --builtin "$workload" --client "$clients" --jobs "$((clients < 2 ? 1 : 2))" \
        --time "$seconds" 2>/dev/null | sed -n 's/^tps = \([0-9.]*\) (without.*/\1/p')
      [[ $tps ]] || die "pgbench told no tps"
      note "$workload $clients $where" "$tps"
    done
  done
}

on_host() {
  PGHOST=$host.run PGDATABASE=postgres as_postgres "$@"
}

make_store "$scale"
host=$VELAFS_SANDBOX/host

for ((round = 1; round <= rounds; ++round)); do
  progress "round $round of $rounds: clone"
  before=$(store_bytes)
  timed clone velafs clone main work
  note clone_bytes "$(($(store_bytes) - before))"
  timed start velapg start work
  note started_bytes "$(field work own_bytes)"
  mapfile -t settings < <(common_settings work)
  run_workloads clone on work
  velapg stop work >/dev/null
  note worked_bytes "$(field work own_bytes)"
  velafs -q delete work

  progress "round $round of $rounds: copy on the host"
  timed copy cp -a "$VELAFS_SANDBOX/cluster" "$host"
  timed host_start host_start "$host" "${settings[@]}"
  run_workloads host on_host
  host_stop "$host"
  host_servers=()
  rm -rf "$host" "$host.run"
done

library=$(pkg-config --modversion fuse3)
commit=$(git -C "$root_dir" -c safe.directory='*' rev-parse --short HEAD 2>/dev/null || echo unknown)
host_type=$(stat --file-system --format %T "$VELAFS_SANDBOX")
[[ $host_type != ext2/ext3 ]] || host_type=ext4
cat <<END
Measured $(date -u +%Y-%m-%d) at commit $commit: Linux $(uname -r), $(nproc) cores, libfuse $library,
$("$pg_bin/postgres" -V | grep -o 'PostgreSQL) [0-9.]*' | tr -d ')'), host filesystem $host_type; pgbench scale $scale ($(numfmt --to=iec "$(field main logical_bytes)")),
$rounds interleaved rounds of $seconds s each. A ratio is clone / copy on the host, of the medians; of the best in brackets.

| what | clone | copy on the host | ratio |
| --- | ---: | ---: | ---: |
END

milliseconds() { # milliseconds NAME
  printf '%.0f ms (best %.0f)' "$(median "${samples[$1]}")" "$(lowest "${samples[$1]}")"
}
bytes() { # bytes NAME
  median "${samples[$1]}" | numfmt --to=iec --format %.1f
}
row() {
  printf '| %s | %s | %s | %s |\n' "$@"
}
ratio() {
  awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'
}

row "to make it" "$(milliseconds clone)" "$(milliseconds copy)" ""
row "to start PostgreSQL on it" "$(milliseconds start)" "$(milliseconds host_start)" ""
row "bytes on disk when made" "$(bytes clone_bytes)" "$(du --summarize --block-size=1 "$VELAFS_SANDBOX/cluster" | cut -f1 | numfmt --to=iec --format %.1f)" ""
row "own bytes once started" "$(bytes started_bytes)" "" ""
row "own bytes after all runs" "$(bytes worked_bytes)" "" ""
for workload in "${workloads[@]}"; do
  for clients in "${client_counts[@]}"; do
    clone=${samples[$workload $clients clone]}
    copy=${samples[$workload $clients host]}
    row "pgbench $workload, $clients client$([[ $clients == 1 ]] || echo s)" \
      "$(printf '%.0f tps' "$(median "$clone")")" "$(printf '%.0f tps' "$(median "$copy")")" \
      "$(ratio "$(median "$clone")" "$(median "$copy")") ($(ratio "$(highest "$clone")" "$(highest "$copy")"))"
  done
done
velafs umount >/dev/null
