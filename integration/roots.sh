# Roots of Debian releases, for scripts that test on a bare system; sourced after lib.sh. Such a script
# has the line `# needs: network`, so that its sandbox can reach the mirror.
# shellcheck shell=bash

mirror=${VELAFS_MIRROR:-http://deb.debian.org/debian}

# Why make_root cannot work here; nothing if it can.
no_roots() { # no_roots SUITE
  if ! command -v mmdebstrap >/dev/null; then
    echo "there is no mmdebstrap"
  elif ! /usr/lib/apt/apt-helper download-file "$mirror/dists/$1/Release" "$(mktemp)" >/dev/null 2>&1; then
    echo "$mirror does not answer"
  fi
}

# make_root SUITE DIRECTORY [PACKAGE...]: a root with the essential packages, apt, and these. Servers of
# packages do not start, and PostgreSQL's makes no cluster. Packages can be installed later, too.
make_root() {
  local suite=$1 directory=$2 include
  shift 2
  include=$(IFS=,; echo "$*")
  # shellcheck disable=SC2016  # expanded by the shells of the hooks
  mmdebstrap --quiet --mode=root --variant=minbase --skip=cleanup/apt/lists \
    --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io ${include:+--include="$include"} \
    --essential-hook='mkdir -p "$1/etc/postgresql-common/createcluster.d"' \
    --essential-hook='echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.d/velafs.conf"' \
    "$suite" "$directory" "$mirror"
}

# in_root DIRECTORY COMMAND...: as root, with the host's devices and an environment of its own. Its
# mounts go when its last process ends.
in_root() {
  # shellcheck disable=SC2016
  unshare --mount --propagation private bash -ec '
    mount --rbind "$1" "$1"
    mount -t proc proc "$1/proc"
    mount --rbind /sys "$1/sys"
    mount --rbind /dev "$1/dev"
    cd "$1"
    shift
    pivot_root . mnt  # after chroot no user namespace could be made
    umount --lazy /mnt
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TMPDIR=/var/tmp "$@"' \
    in_root "$@"
}
