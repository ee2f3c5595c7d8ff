#!/usr/bin/env bash
# Measures velafs clones, with --write-through (`through`), with --no-idle-polling (`halting`) and ephemeral ones too,
# against other ways to get a copy of a PGDATA: a copy in a plain directory of ext4, an XFS reflink copy, a btrfs snapshot, an overlayfs. The store, the plain
# copy and the overlayfs are on an ext4 in an image file, as XFS and btrfs are, all on the same disk: what filesystem the
# machine has, and with what it was made, makes no difference. Each has the same server settings; they take turns, round
# by round. Prints a Markdown table of medians, and in brackets how they relate to the plain copy; writes bench.json, with
# all samples, and bench.svg.
#
#   sudo ./integration/bench.sh
#
#   VELAFS_ROUNDS (3)   VELAFS_SECONDS (8, of each pgbench run)   VELAFS_SCALE (50; 15 MB each)
#   VELAFS_CONTENDERS (velafs through halting ephemeral ext4 xfs btrfs overlayfs)   VELAFS_OUTPUT (build/bench, where the files go)
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
rounds=${VELAFS_ROUNDS:-3}
seconds=${VELAFS_SECONDS:-8}
scale=${VELAFS_SCALE:-50}
output=${VELAFS_OUTPUT:-$root_dir/build/bench}
read -ra wanted <<<"${VELAFS_CONTENDERS:-velafs through halting ephemeral ext4 xfs btrfs overlayfs}"
if [[ -z ${VELAFS_SANDBOX:-} ]]; then
  need_root
  command -v gnuplot >/dev/null || apt_install gnuplot-nox >/dev/null
  mkdir -p "$output"
fi
begin "$@"
source "$root_dir/integration/bench/contenders.sh"
source "$root_dir/integration/bench/report.sh"
cp "$build_dir/integration/programs/random_reads" bin/

# In the order of the table: name, unit, which is better.
measures=(
  'make the copy|ms|less'
  'copy to first query|ms|less'
  'space of a new copy|bytes|less'
  'select-only, 1 client|tps|more'
  'select-only, 8 clients|tps|more'
  'simple-update, 1 client|tps|more'
  'simple-update, 8 clients|tps|more'
  'TPC-B, 1 client|tps|more'
  'TPC-B, 8 clients|tps|more'
  'CPU of a TPC-B transaction|us|less'
  'simple-update, 16 MB of buffers|tps|more'
  'TPC-B, 16 MB of buffers|tps|more'
  'new connections|tps|more'
  '100 CREATE TABLE|ms|less'
  'CREATE DATABASE|ms|less'
  'COPY of 1M rows|ms|less'
  'CREATE INDEX|ms|less'
  'VACUUM|ms|less'
  'sequential scan, warm|ms|less'
  'sequential scan, cold|ms|less'
  'random 8 KiB read, cold|us|less'
  'update of 1% of the rows|ms|less'
  'space of that update|bytes|less'
  'that, against the pages it changed|ratio|less'
)
# shellcheck disable=SC2317
unmount_images() {
  umount "$VELAFS_SANDBOX/"{ext4,xfs,btrfs} 2>/dev/null || true
}
at_end=unmount_images
declare -A samples # "name contender" -> numbers, one for each round
contenders=()
requests=

note() { # note NAME NUMBER, of the contender at work
  samples[$1 $contender]+="$2 "
}
timed() { # timed NAME COMMAND...: notes the milliseconds it took
  local name=$1 start=${EPOCHREALTIME/[.,]/}
  shift
  "$@" >/dev/null
  note "$name" "$(awk -v us="$((${EPOCHREALTIME/[.,]/} - start))" 'BEGIN { printf "%.2f", us / 1000 }')"
}
progress() {
  echo "$(date +%T) $*" >&2
}

# ---- The server at work ----------------------------------------------------------------------------

is_velafs() {
  [[ $contender =~ ^(velafs|through|halting|ephemeral)$ ]]
}
remount() {
  local options=()
  [[ $contender != halting ]] || options=(--no-idle-polling)
  [[ $contender != through ]] || options=(--write-through)
  velafs -q umount
  velafs -q mount "${options[@]}"
}
start_server() { # start_server [OPTION...], the others' options
  if is_velafs; then
    velapg -q start work
  else
    host_start "$data" "${settings[@]}" "$@"
  fi
}
stop_server() {
  if is_velafs; then
    velapg -q stop work
  else
    host_stop "$data"
    host_servers=()
  fi
}
at_server() {
  if is_velafs; then
    on work "$@"
  else
    PGHOST=$data.run PGDATABASE=postgres as_postgres "$@"
  fi
}
query() { # query SQL
  at_server psql -qXAt -v ON_ERROR_STOP=1 -c "$1"
}

# What velapg sets for a clone's server, places apart: the others get the same.
common_settings() {
  velafs -q clone main work
  velapg -q start work
  sql work "select '-c', name || '=' || setting from pg_settings where source = 'command line'
    and setting ~ '^[a-z0-9._]+\$' and name not in ('port', 'cluster_name', 'listen_addresses')" | tr '|' '\n'
  velapg -q stop work
  velafs -q delete --purge work
}

drop_caches() {
  sync
  echo 3 >/proc/sys/vm/drop_caches
}

# ---- Measures --------------------------------------------------------------------------------------

# Microseconds that all processors of the machine have worked.
busy_us() {
  awk -v tick="$(getconf CLK_TCK)" '/^cpu / { printf "%.0f\n", ($2 + $3 + $4 + $7 + $8) * 1000000 / tick; exit }' /proc/stat
}

pgbench_run() { # pgbench_run NAME OPTION...
  local name=$1 log=$VELAFS_SANDBOX/pgbench.log before after
  shift
  # Equal conditions: nothing dirty, and no checkpoint under way.
  query checkpoint
  before=$(busy_us)
  at_server pgbench --no-vacuum --time "$seconds" "$@" >"$log" 2>/dev/null
  after=$(busy_us)
  note "$name" "$(sed -n 's/^tps = \([0-9.]*\) (.*/\1/p' "$log" | tail -n 1)"
  transactions=$(sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' "$log")
  us_per_transaction=$(awk -v us="$((after - before))" -v n="$transactions" 'BEGIN { printf "%.1f", us / n }')
}

measure_copy() {
  local before=0 start
  sync
  [[ $contender == ext4 ]] || before=$(used_bytes 2>/dev/null || echo 0)
  start=${EPOCHREALTIME/[.,]/}
  timed 'make the copy' "make_$contender"
  start_server
  query 'select 1' >/dev/null
  note 'copy to first query' "$(awk -v us="$((${EPOCHREALTIME/[.,]/} - start))" 'BEGIN { printf "%.2f", us / 1000 }')"
  note 'space of a new copy' $(($(used_bytes) - before))
}

# With few buffers of its own, the server reads and writes pages all the time.
measure_small_buffers() {
  query "alter system set shared_buffers = '16MB'"
  stop_server
  start_server -c shared_buffers=16MB
  pgbench_run 'simple-update, 16 MB of buffers' --builtin simple-update --client 8 --jobs 2
  pgbench_run 'TPC-B, 16 MB of buffers' --builtin tpcb-like --client 8 --jobs 2
  query 'alter system reset shared_buffers'
  stop_server
  start_server
}

measure_pgbench() {
  local workload clients name
  # A copy that is still being written to disk would slow its own server. All of it has been read, as a
  # plain copy has by being made, and no row waits for its first reader to note that it is visible.
  query 'vacuum pgbench_accounts'
  query checkpoint
  sync
  find "$data/base" -type f -exec cat {} + >/dev/null
  for workload in select-only simple-update tpcb-like; do
    for clients in 1 8; do
      name=${workload/tpcb-like/TPC-B}
      pgbench_run "$name, $clients client$( ((clients == 1)) || echo s)" --builtin "$workload" \
        --client "$clients" --jobs $((clients < 2 ? 1 : 2))
    done
  done
  note 'CPU of a TPC-B transaction' "$us_per_transaction"
  measure_small_buffers
  pgbench_run 'new connections' --select-only --connect --client 4 --jobs 2
}

measure_ddl() {
  timed '100 CREATE TABLE' query "do 'begin for i in 1..100 loop
    execute format(''create table t%s (id serial primary key, t text)'', i); end loop; end'"
  timed 'CREATE DATABASE' query 'create database other'
}

measure_bulk() {
  query 'create table bulk (id int, k int, t text)'
  timed 'COPY of 1M rows' query "copy bulk from '$VELAFS_SANDBOX/rows.csv' csv"
  query checkpoint
  timed 'CREATE INDEX' query 'create index on bulk (k, t)'
  query 'update bulk set k = k + 1 where id % 4 = 0; checkpoint'
  timed 'VACUUM' query 'vacuum bulk'
}

measure_scans() {
  local file scan='select sum(abalance) from pgbench_accounts'
  query "$scan" >/dev/null
  timed 'sequential scan, warm' query "$scan"
  file=$(query "select pg_relation_filepath('pgbench_accounts')")
  stop_server
  drop_caches
  start_server
  timed 'sequential scan, cold' query "$scan"
  drop_caches
  note 'random 8 KiB read, cold' "$(random_reads "$data/$file" 3000 "$round")"
}

has_other_bytes_than() { [[ $(field work own_bytes) != "$1" ]]; }
measure_update() {
  local before own
  query checkpoint
  before=$(used_bytes)
  ! is_velafs || own=$(field work own_bytes)
  timed 'update of 1% of the rows' query "set synchronous_commit = on; update pgbench_accounts set abalance = abalance + 1
    where aid in (select (random() * $scale * 100000)::int from generate_series(1, $scale * 1000)); checkpoint"
  note 'space of that update' $(($(used_bytes) - before))
  is_velafs || return 0
  # A count of what a branch in use occupies may be some seconds old.
  wait_until 20 has_other_bytes_than "$own" || die "the update takes no space"
  note 'that, against the pages it changed' "$(velafs --json diff main work |
    jq --argjson own "$(field work own_bytes)" '$own / (.pages_changed * 8192)')"
}

# What the kernel asks the daemon for, per transaction, by its own tracepoint.
trace_requests() {
  local tracing=/sys/kernel/tracing trace device name
  mountpoint -q "$tracing" || mount -t tracefs tracefs "$tracing" 2>/dev/null || return 0
  [[ -e $tracing/events/fuse/fuse_request_send ]] || return 0
  trace=$tracing/instances/${VELAFS_SANDBOX##*/}
  mkdir "$trace"
  echo 65536 >"$trace/buffer_size_kb"
  device=$(mountpoint --fs-devno "$mount_dir")
  echo "connection == ${device#*:}" >"$trace/events/fuse/fuse_request_send/filter"
  for name in simple-update tpcb-like; do
    query checkpoint
    echo >"$trace/trace"
    echo 1 >"$trace/events/fuse/fuse_request_send/enable"
    at_server pgbench --no-vacuum --time 3 --client 8 --jobs 2 --builtin "$name" >pgbench.log 2>/dev/null
    echo 0 >"$trace/events/fuse/fuse_request_send/enable"
    sed -n 's/.* opcode [0-9]* (FUSE_\([A-Z0-9_]*\)).*/\1/p' "$trace/trace" | sort | uniq -c | sort -rn | awk -v name="$name" \
      -v n="$(sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' pgbench.log)" \
      '{ all = all sprintf("%s%.2f %s", NR > 1 ? ", " : "", $1 / n, $2) } END { print "* " name ", 8 clients: " all }'
  done
  rmdir "$trace"
}

# ---- The run ---------------------------------------------------------------------------------------

image_bytes=$(((scale * 100 << 20) + (6 << 30)))
reason=$(mount_image ext4 "$image_bytes") || die "$reason"
export VELAFS_STORE=$VELAFS_SANDBOX/ext4/store
mount_dir=$VELAFS_STORE/mnt
make_store "$scale"
mv "$VELAFS_SANDBOX/cluster" "$VELAFS_SANDBOX/ext4"
cluster=$VELAFS_SANDBOX/ext4/cluster
seq 1 1000000 | awk 'BEGIN { srand(1) } { printf "%d,%d,row %d of a table\n", $1, rand() * 1000000, $1 }' >"$VELAFS_SANDBOX/rows.csv"
mapfile -t settings < <(common_settings)
for contender in "${wanted[@]}"; do
  if reason=$("prepare_$contender"); then contenders+=("$contender"); else progress "without $contender: $reason"; fi
done

for ((round = 1; round <= rounds; ++round)); do
  for contender in "${contenders[@]}"; do
    progress "round $round of $rounds: $contender"
    case $contender in
      velafs | through | halting | ephemeral)
        data=$mount_dir/work
        remount
        ;;
      overlayfs) data=$VELAFS_SANDBOX/ext4/overlayfs/work ;;
      *) data=$VELAFS_SANDBOX/$contender/work ;;
    esac
    measure_copy
    measure_update
    measure_pgbench
    [[ $contender != velafs ]] || ((round < rounds)) || requests=$(trace_requests)
    measure_ddl
    measure_bulk
    measure_scans
    stop_server
    "drop_$contender"
    rm -rf "$data.run"
  done
done

# Import alone: into an empty store, and then of what that holds already.
velafs umount >/dev/null
rm -rf "$VELAFS_STORE"
velafs -q init
contender=velafs
for name in first again; do
  drop_caches
  timed "import, $name" velafs -q import "$name" --from-dir "$cluster"
done
drop_caches
contender=ext4
timed 'plain copy' cp -a "$cluster" "$VELAFS_SANDBOX/ext4/copy"
sync_start=$(now_ms)
sync --file-system "$VELAFS_SANDBOX/ext4"
note 'plain copy, sync' $(($(now_ms) - sync_start))
hash_rate=$(openssl speed -multi "$(nproc)" -bytes 65536 -seconds 2 -evp sha256 2>/dev/null | sed -n 's/^evp *\([0-9.]*\)k.*/\1/p;s/^sha256 *\([0-9.]*\)k.*/\1/ip' | tail -n 1)

idle_driver=$(cat /sys/devices/system/cpu/cpuidle/current_driver 2>/dev/null || echo none)
commit=$(git -C "$root_dir" -c safe.directory='*' rev-parse --short HEAD 2>/dev/null || echo unknown)
cluster_bytes=$(du --summarize --block-size=1 "$cluster" | cut -f1)
about=$(jq -n --arg date "$(date -u +%F)" --arg commit "$commit" --arg kernel "$(uname -r)" --argjson cores "$(nproc)" \
  --arg idle_driver "$idle_driver" --arg libfuse "$(pkg-config --modversion fuse3)" --arg postgres "$("$pg_bin/postgres" -V)" \
  --argjson scale "$scale" --argjson rounds "$rounds" --argjson seconds "$seconds" --argjson cluster_bytes "$cluster_bytes" \
  '$ARGS.named')
json "$about" >"$output/bench.json"
title="velafs $commit, $(date -u +%F): Linux $(uname -r), $(nproc) cores, pgbench scale $scale"
chart "$title" "$output/bench.svg" || progress "no chart was drawn"

cat <<END
Measured $(date -u +%F) at commit $commit: Linux $(uname -r), $(nproc) cores (cpuidle driver $idle_driver),
libfuse $(pkg-config --modversion fuse3), PostgreSQL $("$pg_bin/postgres" -V | grep -o '[0-9][0-9.]*' | head -n 1), each filesystem in an image file; pgbench scale $scale ($(numfmt --to=iec "$cluster_bytes")),
$rounds rounds, pgbench runs of $seconds s. Medians; in brackets how they relate to the copy on ext4.

$(table)

Requests to the daemon per transaction:
${requests:-not counted: that takes velafs among the contenders, and a kernel with the tracepoint fuse:fuse_request_send}

Import with cold caches: $(awk -v bytes="$cluster_bytes" -v first="$(median "${samples[import, first velafs]}")" -v again="$(median "${samples[import, again velafs]}")" -v hash="${hash_rate:-0}" \
  -v copy="${samples[plain copy ext4]}" -v synced="${samples[plain copy, sync ext4]}" 'BEGIN {
  printf "%.0f MB/s, once more %.0f MB/s", bytes / 1000 / first, bytes / 1000 / again
  printf "; a plain copy, with sync: %.0f MB/s", bytes / 1000 / (copy + synced)
  if (hash > 0) printf "; SHA-256 alone on all cores: %.0f MB/s", hash / 1000 }').
END
