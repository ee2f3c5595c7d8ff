#!/usr/bin/env bash
# Full disks: the store lies on a small ext4, then, on a write-through mount, on a small tmpfs, which is filled to
# the last block at every stage. ENOSPC reaches whoever writes, all that was acknowledged is there, deleting works, and once
# there is space again everything goes on, without a remount. VELAFS_FILLS says how many times PostgreSQL runs out of
# space on each, VELAFS_SEED from what number come the amounts of space it has left, VELAFS_ON which
# filesystems.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"
source "$root_dir/integration/disk.sh"

fills=${VELAFS_FILLS:-3}
read -ra filesystems <<<"${VELAFS_ON:-ext4 tmpfs}"
seed=${VELAFS_SEED:-$((EPOCHSECONDS % 100000))}
export VELAFS_STORE=$host_dir/store
mount_dir=$VELAFS_STORE/mnt
filler=$host_dir/filler # another program's file

# ---- The disk --------------------------------------------------------------------------------------

free_bytes() {
  df --block-size=1 --output=avail "$host_dir" | tail -n 1
}

append_block() {
  dd if=/dev/zero of="$filler" bs=4096 count=1 oflag=append conv=notrunc status=none 2>/dev/null
}

# fill [BYTES]: takes every block that is free, but for so many bytes.
fill() {
  local free
  touch "$filler"
  sync -f "$host_dir"
  free=$(free_bytes)
  # The daemon may take some of it meanwhile.
  ((free < 1000000)) ||
    fallocate --offset "$(stat -c %s "$filler")" --length $((free - 500000)) "$filler" || sync -f "$host_dir"
  while append_block || { sync -f "$host_dir" && append_block; }; do :; done
  truncate --size "-${1:-0}" "$filler"
  echo "left free: $(free_bytes) bytes"
}

empty() {
  rm -f "$filler"
}

has_free() {
  (($(free_bytes) >= $1))
}

reserve_bytes() {
  stat -c %s "$VELAFS_STORE/reserve"
}
reserve_is_whole() {
  (($(reserve_bytes) == 4194304))
}

no_space='No space left on device' # or what it is in

fails_without_space() { # fails_without_space COMMAND...
  local status=0 said
  said=$("$@" 2>&1) || status=$?
  echo "$said"
  equal "$status" 1 "exit status"
  [[ $said == *"$no_space"* ]] || fail "that is not for want of space"
}

# ---- Stages ----------------------------------------------------------------------------------------

same_space() {
  equal "$(df --block-size=1 --output=size,used,avail "$mount_dir" | tail -n 1)" \
    "$(df --block-size=1 --output=size,used,avail "$host_dir" | tail -n 1)" "the mount's space"
}

imported_without_space() {
  local before
  before=$(find "$VELAFS_STORE/packs" "$VELAFS_STORE/layers" | sort)
  fill 8000000
  fails_without_space velafs import more --from-dir "$VELAFS_SANDBOX/more"
  equal "$(find "$VELAFS_STORE/packs" "$VELAFS_STORE/layers" | sort)" "$before" "what lies in packs/ and layers/"
  has_free 6000000 || fail "only $(free_bytes) bytes are free after the failed import"
  empty
  velafs -q import more --from-dir "$VELAFS_SANDBOX/more"
  cmp "$mount_dir/more/base/1/999999" "$VELAFS_SANDBOX/more/base/1/999999"
  velafs -q unprotect more
  velafs -q delete --purge more
}

write_fails() { # write_fails FILE DD-OPERAND...
  local file=$1
  shift
  fails_without_space dd if=/dev/urandom of="$file" status=none conv=notrunc "$@"
}

# On a mount that caches writes an fsync tells, once, of what could not be written.
fsync_tells() {
  sync "$1" || [[ ! ${mount_options[*]} ]] || fail "fsync fails"
  sync "$1"
}

has_sum() { # has_sum FILE SUM
  [[ $(sha256sum <"$1") == "$2" ]]
}

wrote_without_space() {
  local big=$mount_dir/one/base/1/999999 before size
  cp "$VELAFS_SANDBOX/more/base/1/999999" "$big"
  velafs -q clone one two
  big=$mount_dir/two/base/1/999999
  before=$(sha256sum <"$big")
  fill
  write_fails "$big" bs=8192 count=1 seek=100
  write_fails "$big" bs=100 count=1 seek=77
  wait_until 5 has_sum "$big" "$before" || fail "a file that could not be written shows what it does not have"
  fsync_tells "$big"
  # One page gets there, and as it has its map, it is synced there too; then no more does.
  empty
  dd if=/dev/zero of="$big" bs=8192 count=1 seek=5 conv=notrunc,fsync status=none
  before=$(sha256sum <"$big")
  size=$(stat -c %s "$big")
  fill
  write_fails "$big" bs=8192 count=1 seek=2000
  write_fails "$big" bs=65536 count=10 oflag=append
  fsync_tells "$big"
  head --bytes "$size" "$big" >beginning
  has_sum beginning "$before" || fail "a file that could not be written has changed"
  # The kernel, which caches the writes, has made the file longer, by zeros.
  if [[ ${mount_options[*]} ]]; then equal "$(stat -c %s "$big")" "$size" "size after a failed append"; fi
  ! tail --bytes +$((size + 1)) "$big" | tr -d '\0' | grep -q . || fail "what could not be appended is there"
  empty
  dd if=/dev/zero of="$big" bs=8192 count=1 seek=2000 conv=notrunc,fsync status=none
  velafs -q delete --purge two
  rm "$mount_dir/one/base/1/999999"
}

# What a write was allowed to begin, its fsync can end.
synced_without_space() {
  local file
  mkdir "$mount_dir/one/many"
  cp "$mount_dir/one"/base/1/1[0-9]* "$mount_dir/one/many/"
  velafs -q clone one two
  for file in "$mount_dir/two/many"/*; do
    dd if=/dev/zero of="$file" bs=8192 count=1 conv=notrunc status=none
  done
  fill
  for file in "$mount_dir/two/many"/*; do sync "$file" || fail "fsync of $file fails"; done
  empty
  velafs -q delete --purge two
  rm -r "$mount_dir/one/many"
}

# Branches and bookmarks until there is no space for more: those are there that were acknowledged.
froze_without_space() {
  local i made=() said
  for ((i = 0; i < 4000; ++i)); do
    echo "$i" >"$mount_dir/one/change-$i" 2>/dev/null || true # so that there is something to freeze
    ((i != 10)) || fill
    if ((i % 2)); then name=made-$i; else name=one@made-$i; fi
    case $name in
      one@*) said=$(velafs bookmark create "$name" 2>&1) || break ;;
      *) said=$(velafs clone one "$name" 2>&1) || break ;;
    esac
    made+=("$name")
  done
  echo "made ${#made[@]}, then: $said"
  [[ $said == *"$no_space"* ]] || fail "the last one failed with: $said"
  equal "$({ velafs --json list | jq -r '.branches[].name'
    velafs --json bookmark list | jq -r '.bookmarks[].name'; } | grep made | sort)" \
    "$(printf '%s\n' "${made[@]}" | sort)" "the branches and bookmarks"
  for name in "${made[@]}"; do
    case $name in
      one@*) velafs -q bookmark delete "$name" ;;
      *) velafs -q delete --purge "$name" ;;
    esac
  done
  rm -f "$mount_dir/one"/change-*
  empty
}

removed_without_space() {
  local i
  mkdir "$mount_dir/one/scratch"
  for ((i = 0; i < 300; ++i)); do head -c 20000 /dev/urandom >"$mount_dir/one/scratch/$i"; done
  wait_until 10 reserve_is_whole || fail "the reserve has $(reserve_bytes) bytes"
  fill
  rm -r "$mount_dir/one/scratch"
  wait_until 10 has_free 5000000 || fail "only $(free_bytes) bytes are free after rm"
  wait_until 10 reserve_is_whole || fail "the reserve has $(reserve_bytes) bytes after rm"
  fill
  : >"$mount_dir/one/base/1/1255" # an inherited file, whose truncation takes a page file
  equal "$(stat -c %s "$mount_dir/one/base/1/1255")" 0 "size of a truncated file"
  rm "$mount_dir/one/base/1/1255"
  empty
}

make_doomed() {
  velafs -q clone main "doomed-$1"
  cp "$VELAFS_SANDBOX/more/base/1/999999" "$mount_dir/doomed-$1/"
}

# Each has an entry for the audit log, while there is room.
refused_often() {
  local i
  for ((i = 0; i < 200; ++i)); do
    ! velafs -q note none x 2>/dev/null || fail "it wrote on what is not there"
  done
}

deleted_without_space() {
  make_doomed 1
  make_doomed 2
  velafs -q clone main doomed-3
  wait_until 10 reserve_is_whole || fail "the reserve has $(reserve_bytes) bytes"
  fill
  refused_often
  reserve_is_whole || fail "the reserve has $(reserve_bytes) bytes after calls that failed"
  velafs delete doomed-3
  velafs audit --branch doomed-3 --limit 1 | has_line -E 'delete +doomed-3' || fail "the audit log lacks the deletion"
  velafs -q audit verify
  velafs delete --purge doomed-1
  has_free 8000000 || fail "only $(free_bytes) bytes are free after a deletion"
  wait_until 10 reserve_is_whole || fail "the reserve has $(reserve_bytes) bytes after a deletion"
  # Without a daemon, and so with a catalog whose log is yet to be made.
  velafs umount
  fill
  velafs list
  velafs delete --purge doomed-2
  has_free 8000000 || fail "only $(free_bytes) bytes are free after a deletion without a daemon"
  reserve_is_whole || fail "the reserve has $(reserve_bytes) bytes after a deletion without a daemon"
  fill
  velafs mount
  cmp "$mount_dir/main/PG_VERSION" "$VELAFS_SANDBOX/cluster/PG_VERSION"
  velafs umount
  empty
  velafs -q mount
}

# ---- PostgreSQL ------------------------------------------------------------------------------------

log_commits() {
  local i
  for ((i = 1; ; ++i)); do
    psql -qXAtv ON_ERROR_STOP=1 -c "insert into commits values ($i) returning i" || return 0
  done
}

ran_out_of_space() { # ran_out_of_space NUMBER
  local left daemon acknowledged load
  RANDOM=$((seed + $1))
  left=$((RANDOM * RANDOM % 3000000))
  daemon=$(daemon_pid)
  velafs -q clone main ballast
  cp "$VELAFS_SANDBOX/more/base/1/999999" "$mount_dir/ballast/"
  velapg -q start one
  sql one 'create table if not exists commits (i int); truncate commits'
  fill "$left"
  on one pgbench --no-vacuum --client 4 --jobs 2 --time 30 >"$VELAFS_SANDBOX/pgbench.log" 2>&1 &
  load=$!
  on one log_commits >"$VELAFS_SANDBOX/acknowledged" 2>"$VELAFS_SANDBOX/refused"
  wait "$load" || true
  acknowledged=$(tail -n 1 "$VELAFS_SANDBOX/acknowledged")
  echo "acknowledged with $left bytes left: ${acknowledged:-none}"
  cat "$VELAFS_SANDBOX/refused"
  # A server that cannot recover for want of space may wait for ever to be stopped otherwise.
  velapg stop one --mode immediate
  velapg start one --timeout 10s || true
  velapg stop one --mode immediate
  equal "$(daemon_pid)" "$daemon" "the daemon's pid"
  velafs list
  if (($1 % 2)); then velafs delete --purge ballast; else empty; fi
  velapg -q start one
  at_least "$(sql one 'select count(*) from commits')" "${acknowledged:-0}" "number of commits"
  invariant_holds one
  on one pg_amcheck --heapallindexed --install-missing --database postgres
  velapg -q stop one
  checksums_hold one
  empty
  velafs -q delete --purge ballast 2>/dev/null || true
}

# stage NAME COMMAND...: a check that begins and ends on a disk with space.
stage() {
  check "$@"
  empty
}

# ---- Where the store lies --------------------------------------------------------------------------

run_on() { # run_on FILESYSTEM
  local fs=$1 i mount_options=()
  case $fs in
    tmpfs)
      mount -t tmpfs -o size=160M tmpfs "$host_dir"
      mount_options=(--write-through)
      ;;
    *)
      make_disk "$fs" 220M -m 0
      mount -o loop "$disk_image" "$host_dir"
      ;;
  esac
  velafs -q init
  velafs -q import main --from-dir "$VELAFS_SANDBOX/cluster"
  velafs -q mount "${mount_options[@]}"
  velafs -q clone main one

  stage "$fs: the mount's space is the host's" same_space
  stage "$fs: an import without space fails, leaves nothing, and can be repeated" imported_without_space
  stage "$fs: a write without space is ENOSPC, and changes nothing" wrote_without_space
  stage "$fs: what could be written can be synced without space" synced_without_space
  stage "$fs: clones and bookmarks without space are there, or fail" froze_without_space
  stage "$fs: files are removed and truncated without space" removed_without_space
  stage "$fs: branches are deleted without space, with a daemon and without" deleted_without_space
  for ((i = 1; i <= fills; ++i)); do
    stage "$fs: PostgreSQL runs out of space, number $i, seed $((seed + i)): every commit is there" \
      ran_out_of_space "$i"
  done
  stop_store
  wait_until 10 umount "$host_dir" || fail "the disk is still in use"
}

# ---- A quota ---------------------------------------------------------------------------------------

# limit BYTES: how much more the store may take; `none` for as much as it likes.
limit() {
  local used bytes=none
  if [[ $1 != none ]]; then
    used=$(btrfs qgroup show --sync --raw -f "$host_dir/limited" | awk 'END { print $2 }')
    bytes=$((used + $1))
  fi
  btrfs qgroup limit "$bytes" "$host_dir/limited"
}

# Page by page, each synced, until no more goes.
quota_reached() {
  local big=$mount_dir/two/base/1/999999 page said no_space='Disk quota exceeded'
  cp "$VELAFS_SANDBOX/more/base/1/999999" "$mount_dir/one/base/1/"
  velafs -q clone one two
  limit 3000000
  for ((page = 0; page < 2000; ++page)); do
    said=$(dd if=/dev/zero of="$big" bs=8192 count=1 seek="$page" conv=notrunc,fsync status=none 2>&1) || break
  done
  echo "$page pages, then: $said"
  [[ $said == *"$no_space"* ]] || fail "page $page fails with: $said"
  fails_without_space velafs import more --from-dir "$VELAFS_SANDBOX/more"
  fails_without_space dd if=/dev/urandom of="$mount_dir/two/base/1/other" bs=65536 count=100 status=none
  cmp --bytes $((page * 8192)) "$big" /dev/zero
  cmp --ignore-initial $(((page + 1) * 8192)) "$big" "$VELAFS_SANDBOX/more/base/1/999999"
  limit none
  dd if=/dev/zero of="$big" bs=8192 count=1 seek="$page" conv=notrunc,fsync status=none
  kill -KILL "$(daemon_pid)"
  wait_until 10 velafs -q mount
  cmp --bytes $(((page + 1) * 8192)) "$big" /dev/zero
}

run_with_quota() {
  make_disk btrfs 600M
  mount -o loop "$disk_image" "$host_dir"
  btrfs quota enable "$host_dir"
  btrfs subvolume create "$host_dir/limited" >/dev/null
  export VELAFS_STORE=$host_dir/limited/store
  mount_dir=$VELAFS_STORE/mnt
  velafs -q init
  velafs -q import main --from-dir "$VELAFS_SANDBOX/cluster"
  velafs -q mount
  velafs -q clone main one
  check "btrfs: what exceeds a quota is EDQUOT, and all that was synced is there" quota_reached
  stop_store
  wait_until 10 umount "$host_dir" || fail "the disk is still in use"
}

make_cluster "$VELAFS_SANDBOX/cluster" 1 --wal-segsize 1
printf '%s\n' 'min_wal_size = 2MB' 'max_wal_size = 8MB' >>"$VELAFS_SANDBOX/cluster/postgresql.conf"
cp -a "$VELAFS_SANDBOX/cluster" "$VELAFS_SANDBOX/more"
openssl rand 20000000 >"$VELAFS_SANDBOX/more/base/1/999999"
chown postgres "$VELAFS_SANDBOX/more/base/1/999999"

for filesystem in "${filesystems[@]}"; do
  if [[ $filesystem != tmpfs ]] && ! why=$(needs_loop_devices "$filesystem"); then
    skip "a full disk with $filesystem" "$why"
  else
    run_on "$filesystem"
  fi
done
if why=$(needs_loop_devices btrfs); then run_with_quota; else skip "a quota" "$why"; fi
