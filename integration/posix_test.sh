#!/usr/bin/env bash
# A branch behaves as ext4 does: the cases of programs/posix, first on the host's ext4, which shows that they
# are right, then on a branch, as root for all users, with and without a write cache, and as an ordinary user; and
# random operations on the content of files and on the names of a tree, while the branch is cloned.
#
# VELAFS_SECONDS says how long each random load runs (15), VELAFS_SEED from what number it begins. With
# VELAFS_SLOW=1, directories and link counts are taken to their limits.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"
for program in posix_check random_file random_tree; do
  cp "$build_dir/integration/programs/$program" bin/
done

seconds=${VELAFS_SECONDS:-15}
seed=${VELAFS_SEED:-$((EPOCHSECONDS % 100000))}
options=()
excluded=none # suites of cases
[[ -z ${VELAFS_SLOW:-} ]] || options+=(--slow)

# posix_cases LABEL DIRECTORY COMMAND...: the command runs posix_check, which reports its cases itself.
posix_cases() {
  local label=$1 directory=$2
  shift 2
  "$@" "$directory" --label "$label: " --test-suite-exclude="$excluded" "${options[@]}" || failures=$((failures + 1))
}

host_type=$(stat --file-system --format %T "$VELAFS_SANDBOX")
mkdir host
if [[ $host_type == ext2/ext3 ]]; then
  posix_cases ext4 "$VELAFS_SANDBOX/host" posix_check
else
  skip "the cases hold on ext4" "the host's filesystem is $host_type"
  excluded='*ext4*'
fi

# The least that passes for a stopped server's directory, and something to inherit.
make_source() { # make_source DIRECTORY
  mkdir --parents "$1/global"
  echo 15 >"$1/PG_VERSION"
  printf "%08192d" 0 >"$1/global/pg_control"
  openssl rand 1500000 >"$1/inherited"
  chmod 755 "$1"
}

make_source source
velafs -q init
velafs -q import main --from-dir source
# There are more files than the daemon may have descriptors.
(
  ulimit -n 400
  velafs -q mount
)
velafs -q clone main posix
# Where the kernel caches writes, times are of 10 ms, all of a file passes for data, and some errors come later.
excluded="$excluded,*write-through*" posix_cases "a branch" "$mount_dir/posix" posix_check

# ---- Content ---------------------------------------------------------------------------------------

cloner=$VELAFS_SANDBOX/bin/cloner
cat >"$cloner" <<'SCRIPT'
#!/usr/bin/env bash
# cloner FILE N: the path of FILE in a clone of branch posix, made directly or from a bookmark.
set -euo pipefail
source=posix
if (($2 % 2 == 0)); then
  source=posix@$1-$2
  velafs -q bookmark create "$source"
fi
velafs -q clone "$source" "$1-$2"
echo "$VELAFS_STORE/mnt/$1-$2/$1"
SCRIPT
chmod 755 "$cloner"

random_operations() { # random_operations PATH NAME
  random_file "$1/$2" --seconds "$seconds" --seed "$seed" --cloner "$cloner $2"
}
on_host() {
  random_file "$VELAFS_SANDBOX/host/file" --seconds 3 --seed "$seed"
}
on_branch() {
  local pids=() pid
  random_operations "$mount_dir/posix" new &
  pids+=($!)
  random_operations "$mount_dir/posix" inherited &
  pids+=($!)
  for pid in "${pids[@]}"; do wait "$pid"; done
}
check "ext4: a file is what random operations have made of it" on_host
check "a branch: files are what random operations have made of them, in its clones too" on_branch

inherited_is_unchanged() {
  cmp "$mount_dir/main/inherited" source/inherited
}
check "the branch it was cloned from has what was imported" inherited_is_unchanged

# ---- Names -----------------------------------------------------------------------------------------

listing() { # listing BRANCH: what `random_tree --list` says
  random_tree "$mount_dir/$1/tree" --list
}
# same_trees A B FIELD...: listings, but for some of their fields. Once the kernel has forgotten an inode, its times are
# those at which it has sent what it cached.
same_trees() {
  local fields
  fields=" ($(IFS='|' && echo "${*:3}"))=[0-9.]+"
  diff <(sed -E "s/$fields//g" "$1") <(sed -E "s/$fields//g" "$2") || fail "$1 and $2 are different trees"
}
tree_on_host() {
  mkdir host/tree
  random_tree "$VELAFS_SANDBOX/host/tree" --seconds 3 --seed "$seed"
}
tree_on_branch() {
  mkdir "$mount_dir/posix/tree"
  random_tree "$mount_dir/posix/tree" --seconds "$seconds" --seed "$seed" &
  local load=$! i
  for i in 1 2 3; do
    velafs -q clone posix "tree-$i"
    random_tree "$mount_dir/tree-$i/tree" --list >/dev/null
  done
  wait "$load"
}
tree_remounted() {
  listing posix >before
  at_least "$(wc -l <before)" 20 "number of names"
  velafs -q clone posix last
  listing last >cloned
  same_trees before cloned ino mtime ctime
  velafs -q umount
  velafs -q mount
  listing posix >after
  same_trees before after mtime ctime
}
check "ext4: a tree agrees with itself after random operations of several processes" tree_on_host
check "a branch: so it does, and clones made meanwhile too" tree_on_branch
check "a branch: the tree is the same in a clone, and after a remount" tree_remounted

# ---- fio -------------------------------------------------------------------------------------------

verified() { # verified OPTION...
  fio --name=verify --directory="$mount_dir/posix" --filesize=8M --size=8M --rw=randwrite --bs=8k \
    --verify=crc32c --verify_fatal=1 --end_fsync=1 --loops=2 --unlink=1 "$@"
}
if command -v fio >/dev/null; then
  for engine in psync libaio mmap; do
    for direct in 0 1; do
      [[ $engine != mmap || $direct == 0 ]] || continue
      check "a branch: fio verifies what it wrote with $engine, direct=$direct" \
        verified --ioengine="$engine" --direct="$direct" --iodepth=8
    done
  done
else
  skip "fio verifies what it wrote" "fio is not installed"
fi
check "scrub finds nothing wrong with what all this has left" velafs -q scrub
velafs -q umount
velafs -q mount --write-through
posix_cases "a write-through branch" "$mount_dir/posix" posix_check
velafs -q umount

# ---- An ordinary user ------------------------------------------------------------------------------

if [[ ! -u $(command -v fusermount3 || echo /bin/false) ]]; then
  skip "a user's branch: the cases" "there is no setuid fusermount3"
  exit
fi
# Where no udev has opened /dev/fuse to everybody, the sandbox does, for itself.
if ! as_postgres test -w /dev/fuse; then
  mknod --mode 666 /dev/shm/fuse c 10 229
  mount --bind /dev/shm/fuse /dev/fuse
fi
export HOME=$VELAFS_SANDBOX/home VELAFS_STORE=$VELAFS_SANDBOX/home/store
mount_dir=$VELAFS_STORE/mnt
install -d -o postgres "$HOME"
make_source "$HOME/source"
chown -R postgres: "$HOME"
as_postgres velafs -q init
as_postgres velafs -q import main --from-dir "$HOME/source"
as_postgres velafs -q mount
posix_cases "a user's branch" "$mount_dir/main" as_postgres posix_check
