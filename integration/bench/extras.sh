# What bench.sh tells below its tables, in words and once: requests to the daemon, and the speed of an import.
# shellcheck shell=bash

# group|name; the groups are functions here, called at the end
extras=(
  'requests|requests to the daemon per transaction'
  'import|import with cold caches'
)
measure_extras() {
  local extra
  for extra in "${extras[@]}"; do
    ! is_wanted "$extra" || "measure_${extra%|*}" >>"$extra_results"
  done
}

measure_requests() {
  if [[ " ${contenders[*]} " != *" velafs "* ]]; then return; fi
  contender=velafs
  data=$(data_of velafs)
  remount
  make_velafs
  start_server
  settle_copy
  trace_requests || echo 'Requests to the daemon: not counted, as the kernel has no tracepoint fuse:fuse_request_send.'
  stop_server
  drop_velafs
}

# The kernel's own tracepoint counts what it asks the daemon for.
trace_requests() {
  local tracing=/sys/kernel/tracing trace device name
  mountpoint -q "$tracing" || mount -t tracefs tracefs "$tracing" 2>/dev/null || return 1
  [[ -e $tracing/events/fuse/fuse_request_send ]] || return 1
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
      '{ all = all sprintf("%s%.2f %s", NR > 1 ? ", " : "", $1 / n, $2) }
       END { print "Requests to the daemon per transaction, " name ", 8 clients: " all "." }'
  done
  rmdir "$trace"
}

# Into an empty store, and then once more into the store that has all chunks.
measure_import() {
  local name start bytes first again copied hashed
  bytes=$(du --summarize --block-size=1 "$cluster" | cut -f1)
  velafs -q umount
  rm -rf "$VELAFS_STORE"
  velafs -q init
  drop_caches
  start=$(now_ms)
  velafs -q import first --from-dir "$cluster"
  first=$(($(now_ms) - start))
  drop_caches
  start=$(now_ms)
  velafs -q import again --from-dir "$cluster"
  again=$(($(now_ms) - start))
  drop_caches
  start=$(now_ms)
  cp -a "$cluster" "$VELAFS_SANDBOX/ext4/copy"
  sync --file-system "$VELAFS_SANDBOX/ext4"
  copied=$(($(now_ms) - start))
  hashed=$(openssl speed -multi "$(nproc)" -bytes 65536 -seconds 2 -evp sha256 2>/dev/null |
    sed -n 's/^evp *\([0-9.]*\)k.*/\1/p;s/^sha256 *\([0-9.]*\)k.*/\1/ip' | tail -n 1)
  awk -v bytes="$bytes" -v first="$first" -v again="$again" -v copied="$copied" -v hashed="${hashed:-0}" 'BEGIN {
    printf "Import with cold caches: %.0f MB/s, once more %.0f MB/s", bytes / 1000 / first, bytes / 1000 / again
    printf "; a plain copy, with sync: %.0f MB/s", bytes / 1000 / copied
    if (hashed > 0) printf "; SHA-256 alone on all cores: %.0f MB/s", hashed / 1000
    print "." }'
}
