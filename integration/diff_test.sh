#!/usr/bin/env bash
# What PostgreSQL has made of a branch: tables, indexes and schemas that differ, and checkpoints before
# bookmarks.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

make_store 1
velapg -q start main
sql main "create table docs (id int primary key, body text)"
sql main "insert into docs select g, (select string_agg(md5(g::text || i), '') from generate_series(1, 300) i)
  from generate_series(1, 100) g"
sql main "create table gone as select generate_series(1, 10000) id"
on main psql -qXc "create database other"
velafs -q bookmark create main@before --checkpoint
velafs -q clone main@before pr

no_replay() {
  velafs -q clone main@before fresh
  velapg -q start fresh
  # A clone of a running branch recovers; from just behind a checkpoint there is hardly anything to redo.
  velapg logs fresh --lines 100 >"$VELAFS_SANDBOX/log"
  has_line 'database system was not properly shut down' <"$VELAFS_SANDBOX/log"
  local redo
  redo=$(sed -n 's/.*redo starts at \([0-9A-F/]*\).*/\1/p' "$VELAFS_SANDBOX/log")
  local redone
  redone=$(sed -n 's/.*redo done at \([0-9A-F/]*\).*/\1/p' "$VELAFS_SANDBOX/log")
  [[ -z $redo ]] || at_most "$(sql fresh "select ('$redone'::pg_lsn - '$redo'::pg_lsn)::int")" 65536 "bytes of log redone"
  velapg -q stop fresh
  velafs -q delete --purge fresh
}
check "a bookmark with a checkpoint starts with hardly any replay" no_replay

check "without a server there is nothing to checkpoint" \
  velafs -q bookmark create pr@idle --checkpoint

migrated() {
  velapg -q start pr
  sql pr "update pgbench_accounts set abalance = 1 where aid <= 1000"
  sql pr "create index by_balance on pgbench_accounts (abalance)"
  sql pr "update docs set body = body || 'x' where id = 1"
  sql pr "drop table gone"
  sql pr 'create table "Odd name" (a int)'
  sql pr 'insert into "Odd name" select generate_series(1, 5000)'
  sql pr "checkpoint"
  velapg -q stop pr
  velafs --json diff main@before pr --tables --schema >"$VELAFS_SANDBOX/diff"
  jq 'del(.files)' "$VELAFS_SANDBOX/diff"
}
check "a migrated branch is compared with the bookmark it comes from" migrated

table() { # table NAME FIELD
  jq --arg name "$1" ".tables[] | select(.table == \$name).$2" "$VELAFS_SANDBOX/diff"
}
tables_found() {
  equal "$(table pgbench_accounts indexes)" 2 "indexes of accounts"
  # Some 17 pages of rows, as many new ones; a whole new index of a hundred thousand rows.
  at_least "$(table pgbench_accounts table_bytes)" 131072 "bytes of accounts"
  at_most "$(table pgbench_accounts table_bytes)" 1000000 "bytes of accounts"
  at_least "$(table pgbench_accounts index_bytes)" 500000 "bytes of its indexes"
  at_least "$(table docs toast_bytes)" 8192 "bytes of TOAST"
  equal "$(table gone bytes_changed)" "$(table gone bytes)" "bytes of the dropped table"
  at_least "$(table 'Odd name' table_bytes)" 100000 "bytes of the new table"
  equal "$(table pgbench_tellers bytes_changed)" "" "of a table that nobody touched"
  equal "$(jq '[.tables[].pages_changed] | add' "$VELAFS_SANDBOX/diff")" \
    "$(jq .pages_changed "$VELAFS_SANDBOX/diff")" "pages of all tables and other files"
}
check "pages are told by table, index and TOAST" tables_found

schema_found() {
  equal "$(jq .schema.equal "$VELAFS_SANDBOX/diff")" false
  jq -r .schema.diff "$VELAFS_SANDBOX/diff" >"$VELAFS_SANDBOX/schema"
  has_line '^-CREATE TABLE public.gone' <"$VELAFS_SANDBOX/schema"
  has_line '^+CREATE TABLE public."Odd name"' <"$VELAFS_SANDBOX/schema"
  has_line '^+CREATE INDEX by_balance' <"$VELAFS_SANDBOX/schema"
  ! has_line '^[+-].*restrict' <"$VELAFS_SANDBOX/schema" || fail "a word that is drawn for each dump"
  velafs --json diff main@before main --schema | jq -e .schema.equal
}
check "schemas are compared" schema_found

shown() {
  velafs diff main@before pr --tables >"$VELAFS_SANDBOX/shown"
  head -1 "$VELAFS_SANDBOX/shown" | has_line '^main@before and pr differ in [0-9]* pages'
  has_line '^postgres: public.pgbench_accounts .* rows .*, 2 indexes ' <"$VELAFS_SANDBOX/shown"
  has_line '^(other files)' <"$VELAFS_SANDBOX/shown"
}
check "a person reads it" shown

nothing_left() {
  equal "$(velafs --json list | jq -c '[.branches[].name]')" '["main","pr"]' "branches"
  refuses 3 'no branch "none"' velafs diff none pr --tables
  velapg -q stop main
  velafs -q umount
  velafs --json diff main@before pr --tables | jq -e '.tables | length > 0'
}
check "the clones it asked are gone, and it mounts the store where need be" nothing_left
