#!/usr/bin/env bash
# What branches cost on disk.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

make_store 10

before=$(store_bytes)
velafs -q clone main one
fresh_clone() {
  at_most $(($(store_bytes) - before)) 100000 "growth of the store in bytes"
  at_most "$(field one own_bytes)" 100000 "own_bytes"
}
check "a fresh clone occupies less than 100 KB" fresh_clone

hundred_clones() {
  local i
  before=$(store_bytes)
  for ((i = 0; i < 100; ++i)); do velafs -q clone main "many-$i"; done
  at_most $((($(store_bytes) - before) / 100)) 100000 "growth of the store in bytes, per clone"
  for ((i = 0; i < 100; ++i)); do velafs -q delete "many-$i"; done
}
check "so does each of a hundred" hundred_clones

# Bytes on disk of a branch's own part of some of its files: page files bear their inode's number, which
# is the lower 35 bits of what the mount shows.
own_bytes_of() { # own_bytes_of FILE...
  local file ino total=0 bytes
  for file in "$@"; do
    ino=$(($(stat -c %i "$file") & ((1 << 35) - 1)))
    bytes=$(find "$VELAFS_STORE/layers" -type f \( -name "$ino" -o -name "$ino.map" \) -printf '%b\n' |
      awk '{ sum += $1 } END { print sum * 512 }')
    total=$((total + bytes))
  done
  echo "$total"
}

files_of() { # files_of RELATION: its segments and forks, and its index's
  sql one "select pg_relation_filepath(oid) from pg_class
    where oid = '$1'::regclass or oid in (select indexrelid from pg_index where indrelid = '$1'::regclass)" |
    while read -r path; do compgen -G "$mount_dir/one/$path*"; done
}

# 1% of the rows, next to each other: their pages, as many new ones, and the index's.
updated() {
  local files pages cost
  mapfile -t files < <(files_of pgbench_accounts)
  sql one 'update pgbench_accounts set abalance = abalance + 1 where aid <= 10000'
  sql one checkpoint
  pages=$(sql one "select count(distinct (ctid::text::point)[0]) from pgbench_accounts where aid <= 10000")
  mapfile -t files < <(files_of pgbench_accounts)
  cost=$(own_bytes_of "${files[@]}")
  echo "$pages pages with new rows, $cost bytes on disk, $(du -bc "${files[@]}" | tail -n 1) bytes in the files"
  at_least "$cost" $((2 * pages * 8192)) "bytes on disk"
  at_most "$cost" $((3 * 2 * pages * 8192)) "bytes on disk"
}
velapg start one >/dev/null
sql one checkpoint
check "updating 1% of a large table costs the changed pages, not the files" updated

# The rest of what a working branch owns is its WAL, and a little of the catalogs.
wal_apart() {
  velapg stop one
  local wal all rest
  wal=$(own_bytes_of "$mount_dir"/one/pg_wal/0*)
  all=$(field one own_bytes)
  rest=$((all - wal))
  echo "own $all, WAL $wal, rest $rest"
  at_most "$wal" $((5 * 16 * 1024 * 1024)) "bytes of WAL"
  at_most "$rest" $((12 * 1024 * 1024)) "bytes that are not WAL"
}
check "own_bytes are those pages, the WAL, and little else" wal_apart

freed() {
  local own
  own=$(field one own_bytes)
  before=$(store_bytes)
  velafs delete --purge one
  at_least $((before - $(store_bytes))) $((own * 9 / 10)) "bytes freed"
}
check "deleting the branch frees them" freed
