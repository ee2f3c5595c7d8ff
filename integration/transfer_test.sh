#!/usr/bin/env bash
# Exports: a branch, in use or not, as a plain PGDATA and as an archive that PostgreSQL starts on.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

make_store 2
out=$VELAFS_SANDBOX/out
mkdir "$out"

# starts_on DIRECTORY: a server comes up on it, and finds what pgbench leaves, whole.
starts_on() {
  host_start "$1"
  local on_it=(as_postgres psql -qXAt -h "$1.run" -p 5432 -d postgres)
  equal "$("${on_it[@]}" -c "select (select sum(abalance) from pgbench_accounts) = (select sum(bbalance) from pgbench_branches)
    and (select sum(bbalance) from pgbench_branches) = (select coalesce(sum(delta), 0) from pgbench_history)")" t "pgbench's balances"
  as_postgres "$pg_bin/pg_amcheck" --heapallindexed -h "$1.run" -p 5432 --install-missing -d postgres
  host_stop "$1"
  as_postgres "$pg_bin/pg_checksums" --check -D "$1" | has_line 'Bad checksums: *0'
}

plain() {
  local exported
  exported=$(velafs --json export main --to-dir "$out/main")
  equal "$(jq -r .path <<<"$exported")" "$out/main" "path"
  diff -r --no-dereference "$mount_dir/main" "$out/main"
  diff <(listed "$mount_dir/main") <(listed "$out/main")
  equal "$(velafs --json import again --from-dir "$out/main" | jq .chunks_new)" 0 "new chunks"
  starts_on "$out/main"
  rm -rf "$out/main"
  velafs -q unprotect again
  velafs -q delete --purge again
}
listed() { (cd "$1" && find . -printf '%p %y %m %U:%G %T@ %n %l\n' | sort); }
check "what is exported is what was imported, and stored once when imported again" plain

under_load() {
  velafs -q clone main busy
  velapg -q start busy
  on busy pgbench --no-vacuum --client 4 --time 120 >"$VELAFS_SANDBOX/pgbench.log" 2>&1 &
  local load=$!
  wait_until 20 has_history busy
  velafs -q export busy --to-dir "$out/busy"
  velafs export busy --to-tar - | cat >"$out/busy.tar"
  kill "$load"
  wait "$load" || true
  velapg -q stop busy
}
has_history() { (($(sql "$1" "select count(*) from pgbench_history") > 100)); }
check "a branch is exported while pgbench runs on it" under_load

directory_starts() {
  starts_on "$out/busy"
  rm -rf "$out/busy"
}
check "PostgreSQL recovers on the directory" directory_starts

archive_starts() {
  install -d -o postgres -m 700 "$out/untarred"
  tar -xpf "$out/busy.tar" -C "$out/untarred"
  starts_on "$out/untarred"
  rm -rf "$out/untarred" "$out/busy.tar"
}
check "and on what tar makes of the archive" archive_starts

nothing_held() {
  velafs -q delete --purge busy
  velafs -q bookmark list | has_line 'no bookmarks'
  velafs --json scrub | jq -e '.corrupt == []'
  at_most "$(find "$VELAFS_STORE/layers" -mindepth 1 -maxdepth 1 | wc -l)" 1 "layers" # main's head
}
check "an export keeps nothing in the store" nothing_held

full_target() {
  mkdir "$VELAFS_SANDBOX/small"
  mount -t tmpfs -o size=20m tmpfs "$VELAFS_SANDBOX/small"
  refuses 1 'No space left on device' velafs export main --to-dir "$VELAFS_SANDBOX/small/out"
  refuses 1 'No space left on device' velafs export main --to-tar "$VELAFS_SANDBOX/small/out.tar"
  equal "$(find "$VELAFS_SANDBOX/small" -mindepth 1)" "" "what is left"
  umount "$VELAFS_SANDBOX/small"
}
check "a target without space is told, and left empty" full_target

killed() {
  velafs export main --to-dir "$out/killed" &
  local pid=$!
  wait_until 20 is_begun
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  [[ ! -e $out/killed ]] || starts_on "$out/killed" # it was faster
  rm -rf "$out"/killed*
  velafs -q export main --to-dir "$out/killed"
  rm -rf "$out/killed"
}
is_begun() { compgen -G "$out/killed*" >/dev/null; }
check "a killed export leaves nothing that looks complete" killed

reader_gone() {
  velafs export main --to-tar - 2>"$VELAFS_SANDBOX/err" | head -c 100000 >/dev/null || true
  has_line 'cannot export "main"' <"$VELAFS_SANDBOX/err"
  velafs show main >/dev/null
}
check "a reader that goes away ends it" reader_gone

base_backup() {
  host_start "$VELAFS_SANDBOX/cluster"
  as_postgres "$pg_bin/pg_basebackup" -h "$VELAFS_SANDBOX/cluster.run" --format tar --wal-method fetch \
    --checkpoint fast --pgdata - >"$out/base.tar"
  host_stop "$VELAFS_SANDBOX/cluster"
  gzip "$out/base.tar"
  velafs -q import backup --from-tar - <"$out/base.tar.gz"
  velafs -q clone backup restored
  velapg -q start restored
  equal "$(sql restored 'select count(*) from pgbench_accounts')" 200000 "rows"
  velapg -q stop restored
  checksums_hold restored | has_line 'Bad checksums: *0'
  equal "$(compgen -G "$VELAFS_SANDBOX/velafs-import-*" || true)" "" "what is left in \$TMPDIR"
}
check "what pg_basebackup writes is imported, and starts" base_backup
