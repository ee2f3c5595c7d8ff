#!/usr/bin/env bash
# Tablespaces: however production's come into a store, they are inside the branch from then on, and
# neither a branch, nor an export, nor a backup of either reaches production's directories.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

production=$VELAFS_SANDBOX/production
spaces=$VELAFS_SANDBOX/spaces
backups=$VELAFS_SANDBOX/backups
install -d -o postgres "$spaces" "$backups"
as_postgres mkdir "$spaces/fast" "$spaces/new"

on_host() { as_postgres psql -qXAt -v ON_ERROR_STOP=1 -h "$1.run" -p 5432 -d postgres -c "$2"; }
production() { on_host "$production" "$1"; }
backup() { as_postgres pg_basebackup -h "$1.run" -p 5432 --no-sync -c fast "${@:2}"; }
inside() { [[ -d $1 && ! -L $1 ]] || fail "$1 is not a directory"; }
expect() { equal "$(sql "$1" "select sum(i) from $2")" "$3" "sum of $2 on $1"; }
# Names, modes, times and content of the directories of production's tablespaces.
spaces_state() {
  (cd "$spaces" && find . -printf '%p %y %m %U:%G %T@ %s %n\n' | sort &&
    find . -type f -print0 | sort -z | xargs -0 sha256sum) | sha256sum
}
same_spaces() { equal "$(spaces_state)" "$1" "production's tablespaces"; }

make_cluster "$production" 0
host_start "$production"
production "create tablespace fast location '$spaces/fast'"
production "create table t tablespace fast as select generate_series(1, 100) i"
production checkpoint
oid=$(production "select oid from pg_tablespace where spcname = 'fast'")
backup "$production" -Ft -X stream -z -D "$backups/set"
backup "$production" -Ft -X fetch -D "$backups/fetched"
velafs -q init
velafs -q mount

# spoil BRANCH: what a server on a branch may do to its tablespace.
spoil() {
  sql "$1" "update t set i = -i"
  sql "$1" "create table u tablespace fast as select 7 as i"
  sql "$1" checkpoint
}

tar_set() {
  local before
  before=$(spaces_state)
  velafs -q import set --from-tar "$backups/set" 2>/dev/null
  velafs -q clone set set-1
  inside "$mount_dir/set/pg_tblspc/$oid"
  [[ ! -e $mount_dir/set/tablespace_map ]] || fail "tablespace_map came along"
  velapg -q start set-1
  inside "$mount_dir/set-1/pg_tblspc/$oid"
  expect set-1 t 5050
  spoil set-1
  expect set-1 t -5050
  velapg -q stop set-1
  velapg -q start set
  expect set t 5050
  velapg -q stop set
  same_spaces "$before"
  equal "$(production "select sum(i) from t")" 5050 "production's rows"
}
check "a base backup's tars are imported together while production runs" tar_set

missing() {
  refuses 4 "there is no $oid \(it was \"$spaces/fast\"\)" velafs import bad --from-tar "$backups/alone/base.tar"
  refuses 4 'which is not in pg_wal' velafs import bad --from-dir "$backups/without-wal"
  ! velafs show bad 2>/dev/null || fail "it was imported"
}
mkdir "$backups/alone"
cp "$backups/fetched/base.tar" "$backups/alone/"
as_postgres mkdir -p "$backups/without-wal/pg_tblspc/$oid"
as_postgres tar -xzf "$backups/set/base.tar.gz" -C "$backups/without-wal"
as_postgres tar -xzf "$backups/set/$oid.tar.gz" -C "$backups/without-wal/pg_tblspc/$oid"
chmod 700 "$backups/without-wal"
check "what a base backup lacks is named" missing

crashed() {
  local before
  production checkpoint
  production "create tablespace new location '$spaces/new'"
  production "create table n tablespace new as select generate_series(1, 10) i"
  host_stop "$production" immediate
  before=$(spaces_state)
  velafs -q import crashed --from-dir "$production" 2>/dev/null
  velafs -q clone crashed crashed-1
  velapg -q start crashed-1
  expect crashed-1 t 5050
  expect crashed-1 n 55
  spoil crashed-1
  sql crashed-1 "drop table n"
  sql crashed-1 "drop tablespace new"
  velapg -q stop crashed-1
  local link
  for link in "$mount_dir"/crashed-1/pg_tblspc/*; do inside "$link"; done
  same_spaces "$before"
  host_start "$production"
  equal "$(production "select (select sum(i) from t) + (select sum(i) from n)")" 5105 "production's rows"
}
check "CREATE TABLESPACE in a crashed server's WAL is replayed inside the branch" crashed

# recovers DATA SUM: a server comes up on that directory.
recovers() {
  host_start "$1"
  equal "$(on_host "$1" "select sum(i) from t")" "$2" "sum"
  host_stop "$1"
}

branch_backup() {
  velapg -q start crashed
  (eval "$(velapg env crashed)"; as_postgres pg_basebackup -h "$PGHOST" -p "$PGPORT" --no-sync -c fast -X stream -D "$backups/plain")
  velapg -q stop crashed
  inside "$backups/plain/pg_tblspc/$oid"
  recovers "$backups/plain" 5050
}
check "pg_basebackup of a branch's server gives a cluster that recovers" branch_backup

exports() {
  local out=$VELAFS_SANDBOX/out
  install -d -o postgres -m 700 "$out" "$spaces/mapped" "$spaces/mapped-new"
  velafs -q export crashed --to-dir "$out/in-place"
  inside "$out/in-place/pg_tblspc/$oid"
  recovers "$out/in-place" 5050
  host_start "$out/in-place"
  backup "$out/in-place" -X stream -D "$out/in-place-copy"
  host_stop "$out/in-place"
  recovers "$out/in-place-copy" 5050

  rmdir "$spaces/mapped-new"
  local other
  other=$(velafs --json tablespaces crashed | jq -r ".tablespaces[].oid | select(. != \"$oid\")")
  velafs -q export crashed --to-dir "$out/linked" --tablespace-mapping "$oid=$spaces/mapped" \
    --tablespace-mapping "$other=$spaces/mapped-new"
  equal "$(readlink "$out/linked/pg_tblspc/$oid")" "$spaces/mapped" "link"
  host_start "$out/linked"
  equal "$(on_host "$out/linked" "select sum(i) from t")" 5050 "sum"
  backup "$out/linked" -X stream -T "$spaces/mapped=$spaces/copy" -T "$spaces/mapped-new=$spaces/copy-new" -D "$out/linked-copy"
  backup "$out/linked" -Ft -X stream -D "$backups/of-export"
  host_stop "$out/linked"
  recovers "$out/linked-copy" 5050
  [[ -s $backups/of-export/$oid.tar ]] || fail "the backup has no tar of the tablespace"
  velafs -q import again --from-tar "$backups/of-export" 2>/dev/null
  velapg -q start again
  expect again t 5050
  velapg -q stop again
}
check "exports with tablespaces are clusters that start and are backed up" exports

mended() {
  velafs -q clone crashed old
  local branch=$mount_dir/old
  as_postgres mkdir "$branch/velafs_tablespaces"
  as_postgres mv "$branch/pg_tblspc/$oid" "$branch/velafs_tablespaces/$oid"
  as_postgres ln -s "../velafs_tablespaces/$oid" "$branch/pg_tblspc/$oid"
  velapg -q start old
  expect old t 5050
  refuses 4 'a server runs on "old"' velafs tablespaces old --bring-in
  velapg -q stop old
  velafs -q tablespaces old --bring-in
  inside "$branch/pg_tblspc/$oid"
  [[ ! -e $branch/velafs_tablespaces ]] || fail "velafs_tablespaces is still there"
  velapg -q start old
  expect old t 5050
  velapg -q stop old
}
check "a branch of an earlier version works, and is mended" mended

unchanged() {
  equal "$(production "select (select sum(i) from t), (select sum(i) from n)")" "5050|55" "production's rows"
  equal "$(production "select count(*) from pg_tablespace where spcname in ('fast', 'new')")" 2 "production's tablespaces"
  host_stop "$production"
  as_postgres pg_checksums --check -D "$production" | has_line 'Bad checksums: *0'
}
check "production is what it was" unchanged
