#!/usr/bin/env bash
# PostgreSQL on a clone does what it does on any filesystem. VELAFS_SCALE and VELAFS_SECONDS set
# how much: pgbench's scale, and the length of the run with 8 clients.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"
scale=${VELAFS_SCALE:-20}
seconds=${VELAFS_SECONDS:-20}

make_store 0
velafs -q clone main work
velapg -q start work

initialised() {
  on work pgbench --initialize --quiet --foreign-keys --scale "$scale"
  equal "$(sql work 'select count(*) from pgbench_accounts')" $((scale * 100000))
}
check "pgbench -i -s $scale" initialised

tpc_b() {
  on work pgbench --no-vacuum --client 8 --jobs 2 --time "$seconds"
  invariant_holds work
}
check "TPC-B with 8 clients for $seconds seconds" tpc_b

vacuumed() {
  local before
  before=$(pgbench_checksum work)
  sql work 'vacuum full'
  equal "$(pgbench_checksum work)" "$before" "the tables' checksum"
}
check "VACUUM FULL" vacuumed

copied_database() { # copied_database STRATEGY
  sql work "create database copy_$1 template postgres strategy $1"
  equal "$(on work psql -qXAtd "copy_$1" -c 'select sum(abalance) from pgbench_accounts')" \
    "$(sql work 'select sum(abalance) from pgbench_accounts')"
  sql work "drop database copy_$1"
}
check "CREATE DATABASE with strategy wal_log" copied_database wal_log
check "CREATE DATABASE with strategy file_copy" copied_database file_copy

indexed() {
  sql work 'create index by_balance on pgbench_accounts (abalance, aid)'
  sql work 'create index concurrently by_filler on pgbench_accounts using hash (aid)'
  sql work 'reindex table pgbench_accounts'
  sql work 'reindex database postgres'
  sql work 'set enable_seqscan = off; select count(*) from pgbench_accounts where abalance > -1000000000'
}
check "CREATE INDEX and REINDEX" indexed

# One row on a page makes a large table of little data.
large_table() {
  sql work "create table large (id int, pad text) with (fillfactor = 10);
    alter table large alter pad set storage plain;
    insert into large select i, repeat('x', 900) from generate_series(1, 140000) i"
  local file
  file=$mount_dir/work/$(sql work "select pg_relation_filepath('large')")
  equal "$(stat -c %s "$file")" $((1 << 30)) "size of the first segment"
  [[ -s $file.1 ]] || fail "there is no second segment"
  sql work checkpoint
  equal "$(sql work 'select count(*), sum(id::bigint), max(length(pad)) from large')" "140000|9800070000|900"
}
check "a table of more than one segment (1 GiB)" large_table

sorted() {
  equal "$(sql work "set work_mem = '1MB'; set max_parallel_workers_per_gather = 0;
    select count(*) from (select * from pgbench_accounts order by filler, abalance, aid desc offset 1) s")" \
    $((scale * 100000 - 1))
  [[ $(sql work "select sum(temp_bytes) > 10000000 from pg_stat_database") == t ]] || fail "no temporary files"
}
check "a sort that spills to temporary files" sorted

dropped() {
  local file
  file=$mount_dir/work/$(sql work "select pg_relation_filepath('large')")
  sql work 'drop table large'
  sql work checkpoint
  [[ ! -s $file && ! -e $file.1 ]] || fail "its files are still there"
}
check "DROP TABLE takes the files" dropped

dumped() {
  sql work 'create database restored'
  on work pg_dump --format custom --file "$VELAFS_SANDBOX/dump"
  on work pg_restore --exit-on-error --dbname restored "$VELAFS_SANDBOX/dump"
  equal "$(on work psql -qXAtd restored -c 'select count(*), sum(abalance) from pgbench_accounts')" \
    "$(sql work 'select count(*), sum(abalance) from pgbench_accounts')"
}
check "pg_dump and pg_restore" dumped

crashed() {
  on work pgbench --no-vacuum --client 8 --jobs 2 --time 30 >/dev/null 2>&1 &
  local load=$!
  wait_until 20 load_is_running
  velapg stop work --mode immediate
  wait "$load" || true
  velapg start work
  invariant_holds work
  velapg logs work -n 200 | has_line 'automatic recovery in progress' || fail "there was no crash"
}
load_is_running() {
  (($(sql work "select count(*) from pgbench_history") > before_crash + 100))
}
before_crash=$(sql work "select count(*) from pgbench_history")
check "a crash under load, and a restart" crashed

amcheck() {
  sql work 'create extension if not exists amcheck'
  on work pg_amcheck --all --install-missing --heapallindexed --jobs 2
}
check "pg_amcheck --heapallindexed of all databases" amcheck

velapg -q stop work
check "pg_checksums --check of the stopped clone" checksums_hold work
