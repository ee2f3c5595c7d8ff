# The rows that bench.sh measures. Each group has a function `measure_GROUP`, which finds a started server on a new copy,
# and may have one `prepare_group_GROUP`, which runs once before all rounds. Stories are in stories.sh.
# shellcheck shell=bash

# group|name|unit|which is better, in the order of the table
rows=(
  'copy|make the copy|ms|less'
  'copy|copy to first query|ms|less'
  'copy|space of a new copy|bytes|less'
  'select|select-only, 1 client|tps|more'
  'select|select-only, 8 clients|tps|more'
  'simple|simple-update, 1 client|tps|more'
  'simple|simple-update, 8 clients|tps|more'
  'tpcb|TPC-B, 1 client|tps|more'
  'tpcb|TPC-B, 8 clients|tps|more'
  'buffers|simple-update, 16 MB of buffers|tps|more'
  'buffers|TPC-B, 16 MB of buffers|tps|more'
  'connections|new connections|tps|more'
  'tables|100 CREATE TABLE|ms|less'
  'tables|CREATE DATABASE|ms|less'
  'bulk|COPY of 1M rows|ms|less'
  'bulk|CREATE INDEX|ms|less'
  'bulk|VACUUM|ms|less'
  'scan|sequential scan, warm|ms|less'
  'scan|sequential scan, cold|ms|less'
  'scan|random 8 KiB read, cold|us|less'
  'update|update of 1% of the rows|ms|less'
  'update|space of that update|bytes|less'
  'update|that, against the pages it changed|ratio|less'
  'restore|pg_restore, 2 jobs|ms|less'
  'init|pgbench -i|ms|less'
  'full|VACUUM FULL|ms|less'
  'migration|ADD COLUMN, backfill, CREATE INDEX|ms|less'
  'suite|1000 transactions with TRUNCATE between|ms|less'
)
all_groups=(copy select simple tpcb buffers connections tables bulk scan update restore init full migration suite)

# In the place of making a copy and starting its server.
measure_copy() {
  local before=0 copy_us copy_busy_us
  sync
  [[ $contender == ext4 ]] || before=$(used_bytes 2>/dev/null || echo 0)
  timed 'make the copy' "make_$contender"
  copy_us=$elapsed_us
  copy_busy_us=$busy_us
  start_clock
  start_server
  query 'select 1' >/dev/null
  stop_clock
  ((elapsed_us += copy_us, busy_us += copy_busy_us))
  note_elapsed 'copy to first query'
  note 'space of a new copy' $(($(used_bytes) - before))
}

pgbench_run() { # pgbench_run NAME OPTION...
  local name=$1 log=$VELAFS_SANDBOX/pgbench.log transactions
  shift
  is_wanted "$group|$name" || return 0
  # Equal conditions: nothing dirty, and no checkpoint under way.
  query checkpoint
  start_clock
  at_server pgbench --no-vacuum --time "$seconds" "$@" >"$log" 2>&1
  stop_clock
  transactions=$(sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' "$log")
  note "$name" "$(sed -n 's/^tps = \([0-9.]*\) (.*/\1/p' "$log" | tail -n 1)" \
    "$(awk -v us="$busy_us" -v n="$transactions" 'BEGIN { printf "%.1f", us / n }')"
}
measure_select() {
  pgbench_run 'select-only, 1 client' --builtin select-only
  pgbench_run 'select-only, 8 clients' --builtin select-only --client 8 --jobs 2
}
measure_simple() {
  pgbench_run 'simple-update, 1 client' --builtin simple-update
  pgbench_run 'simple-update, 8 clients' --builtin simple-update --client 8 --jobs 2
}
measure_tpcb() {
  pgbench_run 'TPC-B, 1 client' --builtin tpcb-like
  pgbench_run 'TPC-B, 8 clients' --builtin tpcb-like --client 8 --jobs 2
}
# With few buffers of its own, the server reads and writes pages all the time.
measure_buffers() {
  query "alter system set shared_buffers = '16MB'"
  stop_server
  start_server -c shared_buffers=16MB
  pgbench_run 'simple-update, 16 MB of buffers' --builtin simple-update --client 8 --jobs 2
  pgbench_run 'TPC-B, 16 MB of buffers' --builtin tpcb-like --client 8 --jobs 2
}
measure_connections() {
  pgbench_run 'new connections' --select-only --connect --client 4 --jobs 2
}

measure_tables() {
  timed '100 CREATE TABLE' query "do 'begin for i in 1..100 loop
    execute format(''create table t%s (id serial primary key, t text)'', i); end loop; end'"
  timed 'CREATE DATABASE' query 'create database other'
}

prepare_group_bulk() {
  seq 1 1000000 | awk 'BEGIN { srand(1) } { printf "%d,%d,row %d of a table\n", $1, rand() * 1000000, $1 }' \
    >"$VELAFS_SANDBOX/rows.csv"
}
measure_bulk() {
  query 'create table bulk (id int, k int, t text)'
  timed 'COPY of 1M rows' query "copy bulk from '$VELAFS_SANDBOX/rows.csv' csv"
  query checkpoint
  timed 'CREATE INDEX' query 'create index on bulk (k, t)'
  query 'update bulk set k = k + 1 where id % 4 = 0; checkpoint'
  timed 'VACUUM' query 'vacuum bulk'
}

measure_scan() {
  local file scan='select sum(abalance) from pgbench_accounts' reads=3000
  query "$scan" >/dev/null
  timed 'sequential scan, warm' query "$scan"
  file=$(query "select pg_relation_filepath('pgbench_accounts')")
  stop_server
  drop_caches
  start_server
  timed 'sequential scan, cold' query "$scan"
  drop_caches
  start_clock
  random_reads "$data/$file" "$reads" "$round" >random_reads.out
  stop_clock
  note 'random 8 KiB read, cold' "$(<random_reads.out)" $((busy_us / reads))
}

has_other_bytes_than() { [[ $(field work own_bytes) != "$1" ]]; }
measure_update() {
  local before own
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
