#!/usr/bin/env bash
# Every command of README.md is run, as it stands there: each block marked "sh" in its order, on a real cluster.
# Those below a line that begins with "*Not run by the tests" are not. What the blocks find when they begin:
#
#   VELAFS_STORE, the store that is yet to be made; BACKUP, a directory
#   PGHOST, PGUSER: of a server that runs, with pgbench's tables
#   /var/lib/postgresql/15/main: a stopped cluster with pgbench's tables
#   pytest: a program that asks the server that PG* leads to; a group "developers"
#
# Blocks marked "sh user" are those of an ordinary user, with a stopped cluster in ~/pgdata.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

# ---- What the blocks find

mount -t tmpfs -o mode=755 tmpfs /var/lib/postgresql
install -d -o postgres /var/lib/postgresql/15 /var/lib/postgresql/home "$VELAFS_SANDBOX/backup"
make_cluster /var/lib/postgresql/15/main 1
cp -a /var/lib/postgresql/15/main /var/lib/postgresql/production
cp -a /var/lib/postgresql/15/main /var/lib/postgresql/home/pgdata
host_start /var/lib/postgresql/production -c wal_level=replica -c max_wal_senders=4
echo 'developers:x:60990:' >group.new
cat /etc/group group.new >group
mount --bind group /etc/group
cat >bin/pytest <<'END'
#!/bin/sh
exec psql -qXAt -c 'select count(*) from pgbench_branches'
END
chmod +x bin/pytest
export BACKUP=$VELAFS_SANDBOX/backup
at_end=umount_user
umount_user() {
  ! is_mount /var/lib/postgresql/home/.local/share/velafs/mnt || as_user velafs umount
}
as_user() {
  runuser -u postgres -- env -u VELAFS_STORE HOME=/var/lib/postgresql/home "$@"
}

# ---- The blocks

# One file for each, named after its line: root-0042.sh, user-0120.sh, or left-0099.sh.
split_blocks() {
  awk -v to="$1" '
    /^\*Not run by the tests/ { left = 1 }
    /^#/ || /^```$/ { if (!on) left = 0 }
    /^```sh/ { on = 1; name = sprintf("%s/%s-%04d.sh", to, left ? "left" : ($2 == "user" ? "user" : "root"), NR); next }
    /^```$/ && on { on = 0; left = 0; close(name); next }
    on { print > name }' "$root_dir/README.md"
}
mkdir blocks
split_blocks blocks
chmod -R a+rX blocks

in_order() {
  find blocks -name '*-*.sh' | sort -t- -k2
}

run_block() {
  case $1 in
    */user-*) as_user bash -xeuo pipefail "$1" ;;
    *) PGHOST=/var/lib/postgresql/production.run PGUSER=postgres bash -xeuo pipefail "$1" ;;
  esac
}

enough() {
  at_least "$(in_order | grep -c '/root-')" 15 "blocks to run"
  ! grep -nE '^    (velafs|velapg|sudo|psql|docker) ' "$root_dir/README.md" || fail "commands outside of a block"
}
check "README has its commands in blocks" enough

# Where no udev has opened /dev/fuse to everybody, the sandbox does, for itself.
if ! as_postgres test -w /dev/fuse; then
  mknod --mode 666 /dev/shm/fuse c 10 229
  mount --bind /dev/shm/fuse /dev/fuse
fi
can_mount() {
  [[ -u $(command -v fusermount3 || echo /bin/false) ]] && as_postgres test -w /dev/fuse
}
for block in $(in_order); do
  line=${block##*-}
  line=${line%.sh}
  title="README line $((10#$line)): $(grep -v '^#' "$block" | head -n 1)"
  case $block in
    */left-*) skip "$title" "README says why" ;;
    */user-*)
      if can_mount; then check "$title" run_block "$block"; else skip "$title" "an ordinary user cannot mount here"; fi
      ;;
    *) check "$title" run_block "$block" ;;
  esac
done
