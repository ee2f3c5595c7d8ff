#!/usr/bin/env bash
# Everything PostgreSQL does with files, at the same time and for long: DDL of every kind, databases,
# tablespaces, temporary tables, large objects, prepared transactions, COPY, VACUUM FULL, CLUSTER and
# REINDEX, while pgbench runs. And one client alone, whose statements are drawn at random: the dump of
# what it leaves is the same on a branch and in a directory of the host.
# VELAFS_SECONDS (15) says for how long, VELAFS_STEPS (150) how many statements, VELAFS_SEED which.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"
seconds=${VELAFS_SECONDS:-15}
steps=${VELAFS_STEPS:-150}
seed=${VELAFS_SEED:-$RANDOM}

make_cluster "$VELAFS_SANDBOX/cluster" 2
echo 'max_prepared_transactions = 10' >>"$VELAFS_SANDBOX/cluster/postgresql.conf"
velafs -q init
velafs -q import main --from-dir "$VELAFS_SANDBOX/cluster"
velafs -q mount
velafs -q clone main work
velapg -q start work

# ---- At the same time

deadline=0
# repeat NAME: feeds the statements that `NAME I` prints to a session of its own, again and again. What
# others took away meanwhile may fail; that the server goes away may not.
repeat() {
  local i
  for ((i = 1; $(now_ms) < deadline; ++i)); do
    "$1" "$i" | psql -qXAt >>"$VELAFS_SANDBOX/$1.log" 2>&1 || {
      local status=$?
      ((status == 3)) || return "$status"
    }
  done
  echo "$1: $((i - 1)) times"
}

tables() {
  cat <<SQL
create table ddl (i int primary key, t text);
insert into ddl select g, repeat(md5(g::text), 20) from generate_series(1, 3000) g;
alter table ddl add column n numeric default 1.5;
alter table ddl alter column t type varchar;
create index concurrently ddl_t on ddl (md5(t));
reindex index concurrently ddl_t;
cluster ddl using ddl_pkey;
vacuum full ddl;
alter table ddl set unlogged;
alter table ddl set logged;
truncate ddl;
drop table ddl;
SQL
}
databases() {
  cat <<SQL
create database other$1 template template0 strategy wal_log;
create database copied$1 template other$1 strategy file_copy;
alter database copied$1 rename to renamed$1;
drop database other$1;
drop database renamed$1 with (force);
SQL
}
tablespaces() {
  cat <<SQL
set allow_in_place_tablespaces = on;
create tablespace space$1 location '';
create table spaced as select g as i, repeat('s', 300) as t from generate_series(1, 2000) g;
create index on spaced (i) tablespace space$1;
alter table spaced set tablespace space$1;
alter table spaced set tablespace pg_default;
drop table spaced;
drop tablespace space$1;
SQL
}
temporary() {
  cat <<SQL
set work_mem = '64kB';
create temp table scratch as select g as i, md5(g::text) as t from generate_series(1, 20000) g;
create index on scratch (t);
select count(*) from (select * from scratch order by t offset 1) s;
copy scratch to '/dev/null';
SQL
}
large_objects() {
  cat <<SQL
select lo_from_bytea($((100000 + $1)), decode(repeat('ab', 300000), 'hex'));
select lo_put($((100000 + $1)), 250000, decode(repeat('cd', 100000), 'hex'));
select length(lo_get($((100000 + $1)), 0, 400000));
select lo_unlink($((100000 + $1)));
vacuum pg_largeobject;
SQL
}
prepared() {
  cat <<SQL
begin;
create table if not exists two_phase (i int);
insert into two_phase select generate_series(1, 100);
prepare transaction 'p$1';
checkpoint;
$( (($1 % 3 == 0)) && echo rollback || echo commit) prepared 'p$1';
SQL
}
upkeep() {
  cat <<SQL
vacuum (analyze) pgbench_accounts;
reindex index concurrently pgbench_accounts_pkey;
select pg_switch_wal();
checkpoint;
vacuum full pgbench_history;
SQL
}
copies() {
  cat <<SQL
create table copied (i int, t text);
copy copied from program 'seq 1 5000 | sed "s/\$/\ttext/"';
delete from copied where i % 3 = 0;
vacuum (freeze) copied;
insert into copied select * from copied;
drop table copied;
SQL
}
jobs=(tables databases tablespaces temporary large_objects prepared upkeep copies)

all_at_once() {
  local pids=() pid job
  deadline=$(($(now_ms) + seconds * 1000))
  on work pgbench --no-vacuum --client 3 --time "$seconds" >"$VELAFS_SANDBOX/pgbench.log" 2>&1 &
  pids+=($!)
  for job in "${jobs[@]}"; do
    on work repeat "$job" &
    pids+=($!)
  done
  while (($(now_ms) < deadline)); do
    velafs -q clone work copy
    velafs -q delete --purge copy
    velafs list >/dev/null
  done
  for pid in "${pids[@]}"; do wait "$pid" || fail "a client has failed: $(tail -n 3 "$VELAFS_SANDBOX"/*.log)"; done
  # Errors that only a filesystem can cause.
  ! velapg logs work -n 1000000 | has_line -E 'could not (open|read|write|fsync|extend|stat|remove|rename|link|access)|invalid page|PANIC' ||
    fail "$(velapg logs work -n 1000000 | grep -E 'could not|invalid page|PANIC' | sort | uniq -c | sort -rn | head -n 5)"
}
check "DDL, databases, tablespaces, two-phase commits and pgbench for $seconds seconds" all_at_once

whole() {
  invariant_holds "$1"
  on "$1" pg_amcheck --all --install-missing --heapallindexed --jobs 2
}
check "nothing is lost" invariant_holds work
check "pg_amcheck --heapallindexed of all databases" whole work

crashed() {
  on work repeat_a_while &
  local load=$!
  sql work "begin; create table in_doubt (i int); prepare transaction 'in doubt'"
  velapg -q stop work --mode immediate
  wait "$load" || true
  velapg -q start work
  equal "$(sql work 'select gid from pg_prepared_xacts')" 'in doubt'
  sql work "commit prepared 'in doubt'"
  equal "$(sql work 'select count(*) from in_doubt')" 0
  whole work
}
repeat_a_while() {
  deadline=$(($(now_ms) + 20000))
  repeat tables
}
check "a crash: it recovers, with the transaction that was prepared" crashed
velapg -q stop work
check "pg_checksums --check" checksums_hold work

# ---- One alone

statements() { # statements SEED STEPS: SQL that always does the same
  awk -v seed="$1" -v steps="$2" '
    function below(n) { return int(rand() * n) }
    function table() { return "r" below(6) }
    BEGIN {
      srand(seed)
      for (t = 0; t < 6; ++t) print "create table r" t " (i int, t text, n numeric);"
      for (s = 0; s < steps; ++s) {
        k = below(16); t = table()
        if (k < 4) printf "insert into %s select g, repeat(md5((g * %d)::text), %d), g / 7.0 from generate_series(1, %d) g;\n", t, 1 + below(9), 1 + below(40), 1 + below(1500)
        else if (k == 4) printf "delete from %s where i %% %d = 0;\n", t, 2 + below(5)
        else if (k == 5) printf "update %s set t = t || %d, i = i + 1 where i %% %d = 1;\n", t, below(100), 2 + below(5)
        else if (k == 6) printf "vacuum full %s;\n", t
        else if (k == 7) printf "truncate %s;\n", t
        else if (k == 8) printf "create index i%d on %s (%s);\n", s, t, below(2) ? "i" : "md5(t)"
        else if (k == 9) printf "reindex table %s;\n", t
        else if (k == 10) printf "alter table %s add column c%d text default %d;\n", t, s, below(1000)
        else if (k == 11) printf "drop table %s; create table %s (i int, t text, n numeric);\n", t, t
        else if (k == 12) printf "begin; insert into %s select g, null, null from generate_series(1, 500) g; %s;\n", t, below(2) ? "commit" : "rollback"
        else if (k == 13) printf "select lo_put(lo_create(%d), %d, decode(repeat(%c0f%c, %d), %chex%c));\n", 200000 + s, below(100000), 39, 39, below(20000), 39, 39
        else if (k == 14) printf "checkpoint; vacuum (analyze) %s;\n", t
        else printf "create materialized view m%d as select count(*), sum(i) from %s;\n", s, t
      }
    }'
}
statements "$seed" "$steps" >"$VELAFS_SANDBOX/statements.sql"

without_keys() {
  grep -v -e '^\\restrict ' -e '^\\unrestrict '
}
same_dump() {
  velafs -q clone main alone
  velapg -q start alone
  host_start "$VELAFS_SANDBOX/cluster"
  on alone psql -qXAtf "$VELAFS_SANDBOX/statements.sql" >"$VELAFS_SANDBOX/here.out" 2>&1
  PGHOST=$VELAFS_SANDBOX/cluster.run as_postgres psql -qXAtf "$VELAFS_SANDBOX/statements.sql" >"$VELAFS_SANDBOX/there.out" 2>&1
  diff "$VELAFS_SANDBOX/here.out" "$VELAFS_SANDBOX/there.out" || fail "the answers differ"
  velapg -q restart alone --mode immediate
  # Each dump is locked with a key of its own.
  on alone pg_dump | without_keys >"$VELAFS_SANDBOX/here.sql"
  PGHOST=$VELAFS_SANDBOX/cluster.run as_postgres pg_dump | without_keys >"$VELAFS_SANDBOX/there.sql"
  at_least "$(wc -c <"$VELAFS_SANDBOX/here.sql")" 1000000 "bytes of the dump"
  cmp "$VELAFS_SANDBOX/here.sql" "$VELAFS_SANDBOX/there.sql"
  velapg -q stop alone
}
check "$steps random statements (VELAFS_SEED=$seed): answers and dump are those of a plain directory" same_dump
check "scrub finds nothing wrong with what all this has left" velafs -q scrub
