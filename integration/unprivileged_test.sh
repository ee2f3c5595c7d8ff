#!/usr/bin/env bash
# The whole story as an ordinary user, who mounts through fusermount3.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

if [[ ! -u $(command -v fusermount3 || echo /bin/false) ]]; then
  skip "an ordinary user mounts" "there is no setuid fusermount3"
  exit "$skip_status"
fi

# Where no udev has opened /dev/fuse to everybody, the sandbox does, for itself.
if ! as_postgres test -w /dev/fuse; then
  mknod --mode 666 /dev/shm/fuse c 10 229
  mount --bind /dev/shm/fuse /dev/fuse
fi

# From here on everything is the user's: postgres stands for anybody who owns a PGDATA.
export HOME=$VELAFS_SANDBOX/home VELAFS_STORE=$VELAFS_SANDBOX/home/store
mount_dir=$VELAFS_STORE/mnt
install -d -o postgres "$HOME"
make_cluster "$HOME/cluster" 1
for program in velafs velapg psql pgbench pg_checksums; do
  # shellcheck disable=SC2317
  eval "$program() { as_postgres $program \"\$@\"; }"
done

imported() {
  velafs init
  velafs import main --from-dir "$HOME/cluster"
  equal "$(field main owner)" postgres
}
check "a user makes a store and imports" imported

unreadable() {
  install -d -m 700 "$HOME/secret.d"
  cp -a "$HOME/cluster" "$HOME/unreadable"
  chown root "$HOME/unreadable/base/1/1259"
  chmod 600 "$HOME/unreadable/base/1/1259"
  refuses 4 'base/1/1259' velafs import bad --from-dir "$HOME/unreadable"
  rm -r "$HOME/unreadable"
}
check "a file the user may not read is named" unreadable

mounted() {
  velafs mount
  is_mount "$mount_dir" || fail "nothing is mounted on $mount_dir"
  equal "$(as_postgres cat "$mount_dir/main/PG_VERSION")" "$(cat "$HOME/cluster/PG_VERSION")"
}
check "a user mounts" mounted

ran() {
  velafs clone main one
  velapg start one
  on one pgbench -n -c 4 -T 3 >/dev/null
  invariant_holds one
  velapg stop one
  pg_checksums --check --pgdata "$mount_dir/one"
}
check "a user runs PostgreSQL on a clone" ran

cloned_running() {
  velapg start one
  velafs clone one two
  velapg start two
  invariant_holds two
  velapg stop one
  velapg stop two
}
check "a user clones a running branch" cloned_running

workers_and_pool() {
  velapg run --parallel 2 main -- psql -qXAtc 'show cluster_name' >"$VELAFS_SANDBOX/out"
  equal "$(sed 's/ .*//' "$VELAFS_SANDBOX/out" | sort | tr '\n' ' ')" "[0] [1] " "workers"
  velapg pool main --size 1
  local name
  name=$(velapg --json take main | jq -r .branch)
  equal "$(sql "$name" 'show cluster_name')" "$name"
  # What root does to a pool of the user's is the user's, too.
  as_root=$(velapg_as_root take main --url)
  as_postgres psql -qXAtc 'select 1' "$as_root"
  equal "$(find "$VELAFS_STORE/run" ! -user postgres | wc -l)" 0 "files of another user"
  velapg release "$name"
  velapg pool stop main --all
  equal "$(velafs --json list | jq '[.branches[] | select(.labels.pool)] | length')" 0 "clones left"
}
velapg_as_root() { command velapg "$@"; }
check "a user runs workers and a pool" workers_and_pool

unmounted() {
  velafs umount
  ! is_mount "$mount_dir" || fail "it is still mounted"
  velafs delete one two
}
check "a user unmounts" unmounted
