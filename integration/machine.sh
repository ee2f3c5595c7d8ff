# A machine: systemd as the first process of a root that make_root made; sourced after roots.sh.
# shellcheck shell=bash

machine= # its first process

# boot ROOT: returns once all of its services have started. The machine has the sandbox's network and
# /dev/fuse, and its end is that of its first process. Nothing of the host can be set there.
boot() {
  local cgroups=$VELAFS_SANDBOX/cgroups
  if ! mountpoint -q "$cgroups"; then
    mkdir "$cgroups"
    mount -t cgroup2 cgroup2 "$cgroups"
  fi
  mkdir -p "$cgroups/${VELAFS_SANDBOX##*/}"
  # shellcheck disable=SC2016  # expanded by the shells that run it
  bash -ec 'echo $$ >"$1/cgroup.procs"; exec unshare --mount --propagation private --pid --ipc --uts \
    --cgroup --fork --kill-child bash -ec "$2" boot "$3"' boot "$cgroups/${VELAFS_SANDBOX##*/}" '
      mount --bind "$1" "$1"
      cd "$1"
      mount -t proc proc proc
      mount --bind proc/sys proc/sys
      mount -o remount,bind,ro proc/sys
      mount -t sysfs -o ro sysfs sys
      mount -t cgroup2 cgroup2 sys/fs/cgroup
      mount -t tmpfs -o mode=755 tmpfs run
      mount -t tmpfs -o mode=755 tmpfs dev
      mkdir dev/pts dev/shm
      mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
      for device in null zero full random urandom tty fuse; do
        touch "dev/$device"
        mount --bind "/dev/$device" "dev/$device"
      done
      ln -s pts/ptmx dev/ptmx
      ln -s /proc/self/fd dev/fd
      pivot_root . mnt
      umount --lazy /mnt
      exec env -i container=velafs PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd' "$1" \
    </dev/null >/dev/null 2>&1 &
  wait_until 10 child_of $! >/dev/null || die "cannot make the namespaces of a machine"
  machine=$(child_of $!)
  disown
  wait_until 90 has_started || die "systemd has not started in $1"
}

child_of() {
  pgrep --parent "$1"
}

has_started() {
  [[ $(in_machine systemctl is-system-running 2>/dev/null) =~ ^(running|degraded)$ ]]
}

in_machine() { # in_machine COMMAND...
  nsenter --target "$machine" --all --root --wd \
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

# Ends the machine, as its power would, and what is left of it in the host.
power_off() {
  [[ ! $machine ]] || kill -KILL "$machine" 2>/dev/null
  machine=
  local cgroups=$VELAFS_SANDBOX/cgroups
  mountpoint -q "$cgroups" || return 0
  wait_until 10 remove_cgroups "$cgroups/${VELAFS_SANDBOX##*/}"
  umount "$cgroups"
}

remove_cgroups() {
  find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
  [[ ! -d $1 ]]
}
