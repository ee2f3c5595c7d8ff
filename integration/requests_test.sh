#!/usr/bin/env bash
# How often the kernel must ask the daemon, counted by its own tracepoint fuse:fuse_request_send.
# needs: the machine alone
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

tracing=/sys/kernel/tracing
mountpoint -q "$tracing" || mount -t tracefs tracefs "$tracing" 2>/dev/null || true
if [[ ! -e $tracing/events/fuse/fuse_request_send ]]; then
  skip "requests to the daemon" "this kernel has no tracepoint fuse:fuse_request_send to read"
  exit "$skip_status"
fi

# A trace of our own; whoever else traces is not disturbed. The sandbox's janitor removes it if we cannot.
trace=$tracing/instances/${VELAFS_SANDBOX##*/}
mkdir "$trace"
# shellcheck disable=SC2317
remove_trace() {
  echo 0 >"$trace/events/fuse/fuse_request_send/enable"
  rmdir "$trace"
}
at_end=remove_trace
echo 65536 >"$trace/buffer_size_kb"

make_store 5
velafs -q clone main one
velapg start one >/dev/null
device=$(mountpoint --fs-devno "$mount_dir")
echo "connection == ${device#*:}" >"$trace/events/fuse/fuse_request_send/filter"

# trace_requests COMMAND...: leaves the requests made meanwhile in the file `requests`, one name a line.
trace_requests() {
  echo >"$trace/trace"
  echo 1 >"$trace/events/fuse/fuse_request_send/enable"
  "$@"
  echo 0 >"$trace/events/fuse/fuse_request_send/enable"
  sed -n 's/.* opcode [0-9]* (FUSE_\([A-Z0-9_]*\)).*/\1/p' "$trace/trace" >"$VELAFS_SANDBOX/requests"
  ! grep -qv '^overrun: 0$' < <(grep -h '^overrun' "$trace"/per_cpu/*/stats) || fail "the trace has lost requests"
  sort "$VELAFS_SANDBOX/requests" | uniq -c
}

requests() { # requests [NAME]
  grep -cx "${1:-.*}" "$VELAFS_SANDBOX/requests" || true
}

pgbench_to_log() {
  on one pgbench --no-vacuum "$@" >"$VELAFS_SANDBOX/pgbench.log" 2>&1
}

transactions() {
  sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' "$VELAFS_SANDBOX/pgbench.log"
}

per_transaction() { # per_transaction [NAME]
  awk -v requests="$(requests "$@")" -v transactions="$(transactions)" \
    'BEGIN { printf "%.4f\n", requests / transactions }'
}

counter_counts() {
  trace_requests touch "$mount_dir/one/new"
  at_least "$(requests)" 1 "requests to make a file"
  rm "$mount_dir/one/new"
}
check "making a file is seen by the counter" counter_counts

# Everything is in the kernel's caches once it was read once, and PostgreSQL has set its hint bits.
warm_up() {
  sql one 'vacuum (freeze, analyze)'
  sql one checkpoint
  find "$mount_dir/one/base" -type f -exec cat {} + >/dev/null
  pgbench_to_log --select-only --client 2 --time 3
}
warm_up

read_only() {
  trace_requests pgbench_to_log --select-only --client 2 --time 5
  at_least "$(transactions)" 1000 "number of transactions"
  at_most "$(per_transaction)" 0.01 "requests per transaction"
}
check "a warm read-only transaction asks nothing" read_only

commits() {
  trace_requests pgbench_to_log --skip-some-updates --client 1 --time 5
  at_least "$(per_transaction WRITE)" 0.8 "WRITE per transaction"
  at_most "$(per_transaction WRITE)" 1.6 "WRITE per transaction"
  at_least "$(per_transaction FSYNC)" 0.8 "FSYNC per transaction"
  at_most "$(per_transaction FSYNC)" 1.6 "FSYNC per transaction"
  at_most "$(per_transaction)" 3 "requests per transaction"
}
# The first run takes the cost of full-page images after the checkpoint, which is not the commit's.
pgbench_to_log --skip-some-updates --client 1 --time 5
check "a commit is about one WRITE and one FSYNC" commits

connected() {
  local _
  for _ in {1..20}; do sql one 'select count(*) from pg_class' >/dev/null; done
}
connected_again() {
  connected
  trace_requests connected
  # A backend opens some 80 files. Of a file that was closed the kernel asks anew how much space it takes.
  at_most "$(requests)" 400 "requests of 20 connections"
  equal "$(requests)" "$(requests GETATTR)" "number of GETATTR"
  equal "$(requests OPEN)" 0 "number of OPEN"
}
check "a new connection asks next to nothing" connected_again

velapg stop one >/dev/null

# Now that no server writes meanwhile: the files of one database, by their names. To open a directory is asked for,
# since what the root lists depends on who asks.
known_files=("$mount_dir"/main/base/1/*)
opened() {
  local file
  for file in "${known_files[@]}"; do cat "$file"; done >/dev/null
}
# The kernel asks once more for the times of what it has just read, and may take pages out of its cache
# to have the memory; such a round comes all the same, unless opening itself asks.
asks_nothing() {
  trace_requests opened
  (($(requests) == 0))
}
asks_for_attributes() {
  trace_requests opened
  (($(requests) == $(requests GETATTR) && $(requests) <= ${#known_files[@]}))
}
opened_again() { # opened_again CONDITION
  wait_until 30 "$1" || fail "no such round"
}
check "opening and reading known files asks for their attributes alone" opened_again asks_for_attributes

# The latency in microseconds that processes ask of idle processors: 0 has them poll.
latency_us() {
  od --address-radix n --format d4 --read-bytes 4 /dev/cpu_dma_latency | tr -d ' '
}
asks_to_poll() {
  (($(latency_us) == 0))
}
does_not_ask() {
  ! asks_to_poll
}
has_latency_open() {
  find "/proc/$(daemon_pid)/fd" -lname /dev/cpu_dma_latency | grep -q .
}
write_pages() { # until it is killed
  while :; do dd if=/dev/zero of="$mount_dir/one/pages" bs=8k count=20000 oflag=direct status=none; done
}
idle_polling() {
  local writer
  has_latency_open || fail "the daemon does not ask for it"
  wait_until 10 does_not_ask || fail "it is asked for while nothing happens"
  write_pages &
  writer=$!
  wait_until 30 asks_to_poll || fail "it is not asked for while requests come fast"
  kill "$writer"
  wait "$writer" || true
  wait_until 10 does_not_ask || fail "it is asked for when no more requests come"
  velafs umount >/dev/null
  velafs mount --no-idle-polling >/dev/null
  ! has_latency_open || fail "a daemon that was not to ask for it does"
}
if [[ $(cat /sys/devices/system/cpu/cpuidle/current_driver 2>/dev/null) == haltpoll && -w /dev/cpu_dma_latency ]]; then
  check "idle processors poll while requests come fast" idle_polling
else
  skip "idle processors poll while requests come fast" "they do not wait for a host to wake them here"
fi

velafs umount >/dev/null
velafs -q mount --write-through
device=$(mountpoint --fs-devno "$mount_dir")
echo "connection == ${device#*:}" >"$trace/events/fuse/fuse_request_send/filter"
check "on a write-through mount it asks nothing" opened_again asks_nothing
