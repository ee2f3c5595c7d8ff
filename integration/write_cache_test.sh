#!/usr/bin/env bash
# The kernel's write cache: what programs have written, and the kernel has not sent to the daemon yet. It is in whatever
# is made of the branch afterwards, survives what ends cleanly, and what is lost of it is told.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"
make_store 1
held_file=$build_dir/integration/programs/held_file
file=main/held # in the mount

# hold FILE [PROGRAM]: a program keeps that file of the mount open, until `let_go`, and does what `tell` says.
hold() {
  mkfifo commands answers
  "${2:-$held_file}" "$mount_dir/$1" <commands >answers &
  holder_pid=$!
  exec {commands}>commands {answers}<answers
  rm commands answers
}
let_go() {
  exec {commands}>&- {answers}<&-
  wait "$holder_pid"
}
tell() { # tell COMMAND...: prints the answer
  local answer
  echo "$*" >&"$commands"
  read -r answer <&"$answers"
  echo "$answer"
}
told() { # told ANSWER COMMAND...
  equal "$(tell "${@:2}")" "$1" "answer to \"${*:2}\""
}
byte_at() { # byte_at FILE OFFSET
  od --address-radix n --format u1 --skip-bytes "$2" --read-bytes 1 "$1" | tr -d ' '
}
holds() { # holds FILE BYTE: at both ends of what write_held wrote
  equal "$(byte_at "$1" 0)" "$2" "first byte of $1"
  equal "$(byte_at "$1" 999999)" "$2" "last byte of $1"
}
write_held() { # write_held BYTE
  told ok truncate 1000000
  told ok map 500000 500000 "$1"
  told ok write 0 500000 "$1"
}
requests() { velafs metrics | sed -n 's/^velafs_requests_total //p'; } # to the daemon, ever

# Whatever takes a branch's state takes what was written before it began, though nobody has synced or closed it.
hold $file

written_is_cached() {
  local before
  before=$(requests)
  told ok write 0 1000000 1
  at_most "$(($(requests) - before))" 30 "requests"
}
check "the kernel keeps what was written to an open file" written_is_cached

in_a_clone() {
  write_held 2
  velafs -q clone main cloned
  holds "$mount_dir/cloned/held" 2
}
check "a clone has all that was written" in_a_clone

in_a_bookmark() {
  write_held 3
  velafs -q bookmark create main@point
  write_held 4
  velafs -q clone main@point of_bookmark
  holds "$mount_dir/of_bookmark/held" 3
}
check "a bookmark has all that was written, and nothing later" in_a_bookmark

in_a_reset() {
  write_held 6
  velafs -q reset cloned --to main
  holds "$mount_dir/cloned/held" 6
}
check "a reset to a branch has all that was written" in_a_reset

in_an_export() {
  write_held 7
  velafs -q export main --to-dir "$VELAFS_SANDBOX/exported"
  holds "$VELAFS_SANDBOX/exported/held" 7
}
check "an export has all that was written" in_an_export

in_a_diff() {
  velafs -q clone main same
  write_held 8
  velafs --json diff same main | jq -e 'any(.files[]; .path == "held")' >/dev/null || fail "no difference is seen"
}
check "a comparison sees all that was written" in_a_diff

in_a_promotion() {
  write_held 9
  velafs -q clone main target
  write_held 10
  velafs -q promote main --onto target
  holds "$mount_dir/target/held" 10
}
check "a promotion has all that was written" in_a_promotion
let_go

in_the_trash() {
  velafs -q clone main deleted
  hold deleted/held
  write_held 11
  velafs -q delete deleted
  let_go
  velafs -q undelete deleted
  holds "$mount_dir/deleted/held" 11
}
check "a deleted branch has all that was written" in_the_trash

kept_by_reset() {
  hold deleted/held
  write_held 12
  velafs -q reset deleted
  let_go
  velafs -q clone deleted@before-reset-1 kept_by_reset
  holds "$mount_dir/kept_by_reset/held" 12
}
check "what a reset keeps has all that was written" kept_by_reset

# Without fsync PostgreSQL relies on the kernel alone, for its log, too.
without_fsync() {
  velafs -q clone main relaxed
  echo 'fsync = off' >>"$mount_dir/relaxed/postgresql.conf"
  velapg -q start relaxed
  # In one session, whose end would close the log's file, and with that send it.
  on relaxed psql -qX -v ON_ERROR_STOP=1 <<'SQL'
    create table written as select generate_series(1, 100000) as i;
    \! velafs -q clone relaxed frozen
SQL
  velapg -q stop relaxed
  velapg -q start frozen
  equal "$(sql frozen 'select count(*) from written')" 100000
  velapg -q stop frozen
}
check "a clone of a server without fsync has what it wrote" without_fsync

others_stay_cached() {
  local before
  velafs -q clone main other
  hold other/large
  told ok write 0 8000000 1
  before=$(requests)
  velafs -q clone main apart
  at_most "$(($(requests) - before))" 7 "requests, where 8 MB take at least 8"
  velafs -q clone other also_apart
  equal "$(byte_at "$mount_dir/also_apart/large" 7999999)" 1
  let_go
}
check "a clone waits for no other branch's writes" others_stay_cached

renamed_and_unlinked() {
  hold main/before
  told ok write 0 100000 1
  mv "$mount_dir/main/before" "$mount_dir/main/after"
  velafs -q clone main renamed
  equal "$(byte_at "$mount_dir/renamed/after" 99999)" 1
  told ok write 0 100000 2
  rm "$mount_dir/main/after"
  velafs -q clone main unlinked
  [[ ! -e $mount_dir/unlinked/after ]] || fail "it is in the clone"
  told 2 read 99999
  let_go
}
check "renamed and removed files that are open are no obstacle" renamed_and_unlinked

is_unmounted() { ! is_mount "$mount_dir"; }

# Where the helpers cannot open files: the mountpoint leads to another mount, or to none.
elsewhere() {
  mkdir "$VELAFS_SANDBOX/other"
  mount --bind "$mount_dir" "$VELAFS_SANDBOX/other"
  mount --make-private "$VELAFS_SANDBOX/other"
  hold $file
  write_held 20
  mount -t tmpfs tmpfs "$mount_dir"
  velafs -q clone main covered
  umount "$mount_dir"
  holds "$mount_dir/covered/held" 20
  write_held 21
  velafs -q export main --to-dir "$VELAFS_SANDBOX/also_exported"
  holds "$VELAFS_SANDBOX/also_exported/held" 21
  told 21 read 999999
  let_go
  umount "$VELAFS_SANDBOX/other"
}
check "a clone has all that was written also where the mountpoint leads elsewhere" elsewhere

without_helpers() {
  local helper
  hold $file
  write_held 22
  for helper in $(pgrep --parent "$(daemon_pid)"); do kill -KILL "$helper"; done
  velafs -q clone main unhelped
  holds "$mount_dir/unhelped/held" 22
  let_go
  velafs umount >/dev/null || kill -TERM "$(daemon_pid)"
}

no_hole_where_data_is() {
  hold main/sparse
  told ok truncate 10000000
  told ok sync
  told ok write 5000000 8192 1
  at_most "$(tell data 4000000)" 5000000 "where data begins"
  let_go
  rm "$mount_dir/main/sparse"
}
check "what is not sent yet is no hole" no_hole_where_data_is

times_are_kept() {
  local before
  hold $file
  told ok write 0 8192 1
  before=$(stat --format %Y "$mount_dir/$file")
  let_go
  touch --date 2001-02-03T04:05:06 "$mount_dir/main/dated"
  velafs umount >/dev/null
  velafs -q mount
  equal "$(stat --format %Y "$mount_dir/$file")" "$before"
  equal "$(TZ=UTC stat --format %y "$mount_dir/main/dated")" "2001-02-03 04:05:06.000000000 +0000"
}
check "times are what they were before" times_are_kept

by_signal() {
  local daemon
  hold $file
  write_held 13
  daemon=$(daemon_pid)
  kill -TERM "$daemon"
  wait_until 20 has_ended "$daemon" || fail "the daemon does not end"
  let_go
  velafs -q mount
  holds "$mount_dir/$file" 13
}
check "a daemon that is told to end takes what was written" by_signal

killed() {
  local daemon
  hold $file
  write_held 14
  told ok sync
  told ok write 0 8192 15
  daemon=$(daemon_pid)
  kill -KILL "$daemon"
  wait_until 20 has_ended "$daemon" || fail "the daemon does not end"
  let_go
  velafs -q mount
  equal "$(byte_at "$mount_dir/$file" 999999)" 14 "byte that was synced"
  at_least "$(byte_at "$mount_dir/$file" 0)" 14 "byte that was not synced"
}
check "a daemon that is killed loses nothing that was synced" killed

# More than a quota allows: the writer learns of it when it syncs, and nobody is shown what is not there.
beyond_quota() {
  velafs -q clone main small --quota 4M
  hold small/large
  told ok write 0 2000000 1
  told ok sync
  told ok write 2000000 8000000 2
  told EDQUOT sync
  wait_until 10 is_dropped || fail "the kernel still shows what was not stored"
  told 1 read 1999999
  velafs -q clone small shorter
  equal "$(stat --format %s "$mount_dir/shorter/large")" "$(stat --format %s "$mount_dir/small/large")" "size in a clone"
  velafs -q quota small none
  told ok write 2000000 8000000 3
  told ok sync
  velafs -q clone small of_small
  equal "$(byte_at "$mount_dir/of_small/large" 9999999)" 3
  let_go
}
is_dropped() { [[ $(tell read 9999999) == [!2]* ]]; }
check "what a quota refuses is told by fsync, and not shown" beyond_quota

# With 150 MB on their way to the disk, more than once.
bulk_load() { # until it is killed
  trap 'kill "$!"; exit' TERM
  while :; do
    dd if=/dev/zero of="$mount_dir/loaded/bulk" bs=1M count=150 conv=fsync,notrunc status=none &
    wait $!
  done
}
pauses_of_clones() {
  local loader i pauses=()
  velafs -q clone main loaded
  hold loaded/page "$build_dir/integration/programs/write_pauses"
  bulk_load &
  loader=$!
  wait_until 10 test -s "$mount_dir/loaded/bulk"
  for i in {1..9}; do
    tell so far >/dev/null
    velafs -q clone loaded "of-loaded-$i"
    pauses+=("$(tell that took)")
  done
  kill "$loader"
  wait "$loader" || true
  let_go
  mapfile -t pauses < <(printf '%s\n' "${pauses[@]}" | sort --numeric-sort)
  # Half of them: the machine itself stops for so long at times.
  at_most "${pauses[4]}" 50 "milliseconds that writers wait for a clone (of ${pauses[*]})"
}
check "a clone under a bulk load stops writers only briefly" pauses_of_clones

threads() { sed -n 's/^Threads:[[:space:]]*//p' "/proc/$(daemon_pid)/status"; }
ends_threads() {
  local i
  velafs -q clone main burst
  for i in {1..24}; do dd if=/dev/zero of="$mount_dir/burst/$i" bs=1M count=8 conv=fsync status=none & done
  wait
  # 8 of those that serve requests, and the daemon's own.
  at_most "$(threads)" 22 "number of the daemon's threads"
}
check "the threads that a burst of writes needs end with it" ends_threads

clone_beyond_quota() {
  velafs -q clone main full --quota 4M
  hold full/large
  told ok write 0 10000000 1
  ! velafs clone full of_full || fail "it is cloned without what was written"
  told EDQUOT sync
  let_go
  velafs -q clone full of_full
}
check "a clone fails if what was written cannot be stored, and so does the fsync" clone_beyond_quota

server_beyond_quota() {
  velafs -q clone main grown --quota 30M
  velapg -q start grown
  sql grown 'create table first as select 1 as i'
  sql grown 'checkpoint'
  ! sql grown 'create table big as select i, repeat(md5(i::text), 20) from generate_series(1, 100000) as i; checkpoint' \
    || fail "a quota of 30 MB holds 60 MB"
  velafs -q quota grown none
  velapg -q stop grown --mode immediate || true
  velapg -q start grown
  equal "$(sql grown 'select i from first')" 1
  sql grown 'create table big as select i, repeat(md5(i::text), 20) from generate_series(1, 100000) as i'
  velapg -q stop grown
  checksums_hold grown
}
check "a server that ran out of its quota recovers when it has more" server_beyond_quota

check "a clone has all that was written also where the helpers were killed" without_helpers
wait_until 20 is_unmounted || umount --lazy "$mount_dir"

write_through() {
  local before
  velafs -q mount --write-through
  hold $file
  before=$(requests)
  told ok write 0 1000000 16
  at_least "$(($(requests) - before))" 100 "requests"
  let_go
}
check "a write-through mount sends each write at once" write_through
