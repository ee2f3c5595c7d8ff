#!/usr/bin/env bash
# The packages: built, looked at by their distributions' own critics, and lived with on a machine of
# their own, which systemd runs: installed, upgraded, removed and purged under a real cluster.
# needs: network
#
# The programs in them are those that the tests run; packaging/release.sh compiles them for a package.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$root_dir/integration/roots.sh"
source "$root_dir/integration/machine.sh"
begin "$@"

for program in dpkg-buildpackage dh lintian rpmbuild rpmlint; do
  command -v "$program" >/dev/null && continue
  skip "${0##*/}" "there is no $program: ${test_packages[*]}"
  exit "$skip_status"
done
made=$VELAFS_SANDBOX/packages
machine_root=$VELAFS_SANDBOX/machine
at_end=power_off
export -n VELAFS_STORE

# ---- What is in the packages

build_packages() {
  "$root_dir/packaging/build.sh" deb rpm --compiled-in "$build_dir" --output "$made" >build.out 2>&1 ||
    fail "build.sh: $(tail -n 20 build.out)"
  ls "$made"
}

deb_files() { # deb_files PACKAGE...: paths, as both packages have them
  local package
  for package in "$@"; do dpkg-deb --fsys-tarfile "$made/$package"_*.deb | tar --list; done |
    sed -n -e 's|^\./lib/|./usr/lib/|' -e 's|\.gz$||' -e 's|^\.\(/.*[^/]\)$|\1|p'
}

# What each distribution has elsewhere, or not at all.
debian_only='^/usr/share/(doc/velafs/(copyright|changelog)|lintian/.*|zsh/vendor-completions/_velafs)$'
red_hat_only='^/usr/(share/(licenses/velafs.*|zsh/site-functions/_velafs)|lib/\.build-id.*)$'

same_files() {
  deb_files velafs | grep -Ev "$debian_only" | sort >deb.files
  rpm --query --package --queryformat '[%{FILEMODES:perms} %{FILENAMES}\n]' "$made"/*.rpm |
    sed -n -e 's|\.gz$||' -e 's|^[^d][^ ]* ||p' | grep -Ev "$red_hat_only" | sort >rpm.files
  diff deb.files rpm.files || fail "the deb and the rpm hold different files"
  at_least "$(wc -l <deb.files)" 20 "the number of files"
}

one_version() {
  local version
  version=$(sed -n 's/^project(velafs VERSION \([0-9.]*\).*/\1/p' "$root_dir/CMakeLists.txt")
  equal "$(velafs --version)" "velafs $version"
  equal "$(velapg --version)" "velapg $version"
  equal "$(dpkg-deb --field "$made"/velafs_*.deb Version)" "$version"
  equal "$(rpm --query --package --queryformat '%{VERSION}' "$made"/*.rpm)" "$version"
}

tarballs_are_the_same() {
  "$root_dir/packaging/build.sh" tar --output first
  TMPDIR=$VELAFS_SANDBOX/bin "$root_dir/packaging/build.sh" tar --output second
  cmp first/velafs-*.tar.gz second/velafs-*.tar.gz
  tar --list --file first/velafs-*.tar.gz >members
  has_line '^velafs-[0-9.]*/debian/changelog$' members
  has_line '^velafs-[0-9.]*/velafs.spec$' members
}

product_alone() {
  cmake -S "$root_dir" -B alone -G Ninja -DBUILD_TESTING=OFF -DCMAKE_DISABLE_FIND_PACKAGE_doctest=ON >/dev/null
  ninja -C alone -t targets all >targets
  has_line '^velafs/velafs:' targets
  ! has_line tests targets || fail "tests are built, too"
}

lintian_is_content() {
  lintian --allow-root --fail-on error,warning "$made"/*.changes
}

rpmlint_is_content() {
  rpmlint --config "$root_dir/packaging/rpm/rpmlint.toml" --rpmlintrc "$root_dir/packaging/rpm/velafs.rpmlintrc" \
    "$made"/*.rpm >rpmlint.out || true
  cat rpmlint.out
  has_line ' 0 errors, 0 warnings' rpmlint.out
}

# An empty root lacks everything, and rpm says by name what it wants.
rpm_asks_for_what_it_needs() {
  local root=$VELAFS_SANDBOX/rpm-root
  mkdir "$root"
  rpm --root "$root" --initdb
  ! rpm --root "$root" --install "$made"/*.rpm 2>lacks || fail "it was installed without what it needs"
  local needed
  for needed in fuse3 'libfuse3.so.3()(64bit)' 'libsqlite3.so.0()(64bit)' 'libstdc++.so.6()(64bit)'; do
    has_line -F "$needed" lacks || fail "it does not ask for $needed: $(cat lacks)"
  done
  rpm --root "$root" --install --nodeps --noscripts "$made"/*.rpm
  [[ -x $root/usr/bin/velafs && -f $root/etc/velafs/velafs.conf ]]
  rpm --root "$root" --verify velafs --nodeps
}

check "a deb and an rpm are built of the tree" build_packages
check "the version is in one place" one_version
check "the deb and the rpm hold the same files" same_files
check "a tarball made elsewhere is the same to the byte" tarballs_are_the_same
check "the product is built without doctest" product_alone
check "lintian has no error and no warning" lintian_is_content
check "rpmlint has no error and no warning" rpmlint_is_content
check "the rpm asks for what it needs, and is installed whole" rpm_asks_for_what_it_needs

# ---- A machine

if [[ $(no_roots bookworm) ]]; then
  skip "the packages on a machine" "$(no_roots bookworm)"
  exit
fi

# The package as an older release had it.
older_package() {
  dpkg-deb --raw-extract "$made"/velafs_*.deb older
  sed -i 's/^Version: .*/Version: 0.0.1/' older/DEBIAN/control
  dpkg-deb --root-owner-group --build older "$machine_root/root/older.deb" >/dev/null
  cp "$made"/velafs_*.deb "$machine_root/root/newer.deb"
  cp "$made"/velafs-postgresql-common_*.deb "$machine_root/root/cluster-tools.deb"
}

makes_machine() {
  make_root bookworm "$machine_root" systemd systemd-sysv dbus
  cp --dereference /etc/resolv.conf "$machine_root/etc/resolv.conf"
  older_package
}

property() { # property UNIT NAME
  in_machine systemctl show --property "$2" --value "$1"
}

is_active() {
  [[ $(property "$1" ActiveState) == active ]]
}

query() { # query BRANCH SQL
  in_machine velapg psql "$1" -qXAt -c "$2"
}

installs() {
  in_machine apt-get install --yes --quiet --no-install-recommends postgresql
  in_machine apt-get install --yes --quiet --no-install-recommends /root/older.deb
  in_machine systemctl is-enabled velafs.service velafs-scrub.timer velafs-logs.timer
  is_active velafs.service || fail "velafs.service is $(property velafs.service ActiveState)"
  is_active velafs-scrub.timer
  equal "$(in_machine id --name --user velafs)" velafs "the system user"
  [[ $(in_machine stat --file-system --format %T /srv/velafs) == fuse* ]] || fail "nothing is mounted at /srv/velafs"
  ! in_machine grep -v '^#' /etc/fuse.conf | has_line . || fail "/etc/fuse.conf was edited"
}

units_verify() {
  # shellcheck disable=SC2016
  in_machine sh -c 'systemd-analyze verify --man=no /lib/systemd/system/vela*.service /lib/systemd/system/vela*.timer 2>&1' >verified ||
    fail "$(cat verified)"
  cat verified
  ! has_line vela verified
}

clones() {
  in_machine pg_createcluster --start-conf manual 15 main
  in_machine pg_ctlcluster 15 main start
  in_machine runuser -u postgres -- psql -qc 'create table answer as select 42 as is'
  in_machine pg_ctlcluster 15 main stop
  in_machine velafs import main --from-dir /var/lib/postgresql/15/main
  in_machine velafs clone main work
  in_machine velapg start work
  equal "$(query work 'select "is" from answer')" 42
  query work 'update answer set "is" = 43'
  in_machine velapg stop work
}

serves_branch() {
  in_machine systemctl enable --now velapg@work.service
  is_active velapg@work.service
  equal "$(query work 'select "is" from answer')" 43
}

main_pid() {
  property velafs.service MainPID
}

postmaster_pid() {
  in_machine velapg --json status work | jq .pid
}

reloads() {
  local before
  before=$(main_pid)
  in_machine systemctl reload velafs.service
  is_active velafs.service
  equal "$(main_pid)" "$before" "the daemon"
  equal "$(query work 'select "is" from answer')" 43
}

puts_logs_aside() {
  in_machine systemctl start velafs-logs.service
  equal "$(property velafs-logs.service Result)" success
  in_machine sh -c 'ls /var/lib/velafs/run/*/postgres.log.1' || fail "no log was put aside"
}

# The branch as a cluster of Debian's.
is_a_cluster() {
  in_machine apt-get install --yes --quiet --no-install-recommends /root/cluster-tools.deb
  in_machine velafs clone main review
  in_machine velapg register review
  in_machine pg_lsclusters
  in_machine systemctl start postgresql@15-review.service
  equal "$(in_machine pg_lsclusters --no-header | awk '$2 == "review" { print $4 }')" online
  answers 42 review
  in_machine systemctl stop postgresql@15-review.service
  in_machine velapg unregister review
  in_machine velafs delete review
}

scrubs() {
  in_machine systemctl start velafs-scrub.service
  equal "$(property velafs-scrub.service Result)" success
}

is_another() { # is_another PID
  local now
  now=$(main_pid)
  is_active velafs.service && [[ $now != "$1" && $now != 0 ]]
}

answers() { # answers VALUE [BRANCH]
  [[ $(query "${2:-work}" 'select "is" from answer') == "$1" ]]
}

recovers() {
  local before
  before=$(main_pid)
  query work 'update answer set "is" = 44'
  in_machine systemctl kill --kill-whom=main --signal=KILL velafs.service
  wait_until 30 is_another "$before" || fail "the daemon did not come back"
  wait_until 60 answers 44 || fail "the server did not come back"
}

stops_servers_first() {
  in_machine systemctl stop velafs.service
  ! is_active velapg@work.service || fail "velapg@work.service is active"
  ! in_machine mountpoint --quiet /srv/velafs || fail "/srv/velafs is mounted"
  in_machine journalctl --no-pager --boot --unit velapg@work.service --unit velafs.service --lines 20
  in_machine systemctl start velafs.service
  wait_until 60 answers 44 || fail "the server did not start with the daemon"
  in_machine velapg logs work >server.log
  has_line 'database system was shut down' server.log
}

# The daemon has systemd start it: it is in no group of processes that ends with the daemon's.
starts_by_policy() {
  in_machine velafs clone main auto
  in_machine velafs policy set auto autostart=on
  in_machine systemctl restart velafs.service
  wait_until 60 answers 42 auto || fail "its server did not start"
  is_active velapg@auto.service || fail "its server is in no velapg@auto.service"
  in_machine systemctl stop velapg@auto.service
  in_machine velafs delete auto
  wait_until 60 answers 44
}

# Another store, as packaging/README.md has it made.
serves_two_stores() {
  in_machine velafs --store /var/lib/qa init
  in_machine sh -c 'printf "store = \"/var/lib/qa\"\nmountpoint = \"/srv/qa\"\n" >/etc/velafs/qa.conf'
  in_machine systemctl enable --now velafs@qa.service
  in_machine mountpoint --quiet /srv/qa
  equal "$(in_machine velafs --config /etc/velafs/qa.conf --json status | jq -r .mountpoint)" /srv/qa
  answers 44
}

reboots() {
  is_active velafs.service
  is_active velafs@qa.service
  wait_until 60 answers 44
}

upgrades() {
  local daemon server
  daemon=$(main_pid)
  server=$(postmaster_pid)
  in_machine apt-get install --yes --quiet --no-install-recommends /root/newer.deb >upgrade.out
  cat upgrade.out
  equal "$(main_pid)" "$daemon" "the daemon"
  equal "$(postmaster_pid)" "$server" "the server"
  answers 44
  has_line 'velafs: .systemctl restart velafs.service. ' upgrade.out
  in_machine systemctl restart velafs.service
  is_another "$daemon"
  wait_until 60 answers 44
}

removes() {
  in_machine apt-get remove --yes --quiet velafs
  equal "$(property velafs.service ActiveState)" inactive
  ! pgrep -x postgres || fail "a server runs"
  ! in_machine mountpoint --quiet /srv/velafs || fail "/srv/velafs is mounted"
  ! in_machine mountpoint --quiet /srv/qa || fail "/srv/qa is mounted"
  in_machine test -e /var/lib/velafs/catalog.db -a -e /etc/velafs/velafs.conf
}

purges() {
  in_machine rm -r /etc/velafs/qa.conf /var/lib/qa
  in_machine apt-get purge --yes --quiet velafs >purge.out
  cat purge.out
  has_line 'the store /var/lib/velafs is kept' purge.out
  in_machine test -e /var/lib/velafs/catalog.db
  ! in_machine test -e /etc/velafs || fail "/etc/velafs is there: $(in_machine ls /etc/velafs)"
  in_machine find / -xdev -path '*vela*' ! -path '/var/lib/velafs*' ! -path '/root/*' ! -path '/var/log/*' \
    ! -path '/var/lib/postgresql/*' ! -path '/etc/postgresql-common/*' ! -path /srv/velafs >left
  [[ ! -s left ]] || fail "left: $(cat left)"
}

installs_again() {
  in_machine apt-get install --yes --quiet --no-install-recommends /root/newer.deb
  is_active velafs.service
  in_machine velapg start work
  answers 44
  in_machine velapg stop work
}

check "a bare Debian 12 boots" makes_machine
boot "$machine_root"
check "apt installs it, and the service runs" installs
check "systemd finds nothing wrong with the units" units_verify
check "a cluster is imported and cloned, and a server runs on the clone" clones
check "velapg@BRANCH.service serves a branch" serves_branch
check "a reload keeps daemon and servers" reloads
check "the weekly scrub runs" scrubs
check "the weekly timer puts servers' logs aside" puts_logs_aside
check "after kill -9 the daemon comes back, and the server with it" recovers
check "servers stop before the daemon, and start with it" stops_servers_first
check "a server that the policy autostart names is one of systemd's" starts_by_policy
check "another store has a service of its own" serves_two_stores
in_machine systemctl reboot >/dev/null 2>&1 || true # it may be gone before it has answered
wait_until 90 has_ended "$machine"
boot "$machine_root"
check "after a reboot all is there again" reboots
check "an upgrade leaves daemon and servers running, and says how to restart" upgrades
check "a branch is a cluster of postgresql-common" is_a_cluster
check "a removal stops servers and daemon, and keeps store and configuration" removes
check "a purge keeps the store, says so, and leaves nothing else" purges
check "installed again, it serves the same store" installs_again
