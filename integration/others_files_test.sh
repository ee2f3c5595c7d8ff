#!/usr/bin/env bash
# What files of a user's may do to root, who runs velapg on that user's branch, imports and exports.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"
source "$root_dir/integration/others.sh"

# ---- What a user has put where velapg looks for files

puts() { # puts KIND PATH: in the place of that file
  as www-data rm -f "$2"
  case $1 in
    FIFO) as www-data mkfifo "$2" ;;
    zero) as www-data ln -s /dev/zero "$2" ;;
    sparse) as www-data truncate -s 10G "$2" ;;
    socket) as www-data perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Listen => 1, Local => shift)' "$2" ;;
  esac
}
comes_back() { # comes_back COMMAND...: within 30 seconds, whatever it says
  local status=0
  timeout --signal KILL 30 "$@" >said 2>&1 </dev/null || status=$?
  ((status < 124)) || { cat said && fail "$* did not come back: status $status"; }
}
files() {
  local file kind
  velafs -q bookmark create mine@whole
  echo "include 'more.conf'" >>"$mine/postgresql.conf"
  for file in more.conf postgresql.conf postgresql.auto.conf pg_hba.conf pg_ident.conf PG_VERSION global/pg_control \
    global/pg_filenode.map backup_label standby.signal recovery.signal tablespace_map; do
    for kind in FIFO zero sparse socket; do
      puts "$kind" "$mine/$file"
      comes_back velapg start mine --timeout 2s
      echo "$file $kind: $(head -n 1 said)"
      if [[ $kind$file == FIFOmore.conf ]]; then has_line 'did not end within 2s' said; fi
      comes_back velapg stop mine --mode immediate
      comes_back velapg status mine
    done
    comes_back velapg inspect mine --schema --timeout 2s
    velafs -q reset mine --to mine@whole
    [[ $file != more.conf ]] || { echo "include 'more.conf'" >>"$mine/postgresql.conf" && as www-data touch "$mine/more.conf"; }
  done
  velafs -q reset mine --to mine@whole
}
check "a file of a branch that is a FIFO, a device, a socket or endless is not waited for" files

run_files() {
  local dir file kind holder release
  velapg -q start mine
  dir=$(velapg --json status mine | jq -r .socket_dir)
  velapg -q stop mine
  for file in postgres.log idle-stop prepared pg_hba.conf.new pg_hba.conf .s.PGSQL.1.lock; do
    for kind in FIFO zero socket; do
      puts "$kind" "$dir/$file"
      comes_back velapg start mine --timeout 5s --idle-stop 1h
      comes_back velapg status mine
      comes_back velapg logs mine
      comes_back velapg stop mine
    done
    as www-data rm -f "$dir/$file"
  done
  mkfifo release
  as www-data flock "$dir" cat <release &
  holder=$!
  exec {release}>release
  wait_until 10 eval '! flock --nonblock "$dir" true'
  refuses 5 'process [0-9]+ of user "www-data" holds' velapg start mine --timeout 1s
  comes_back velapg stop mine
  exec {release}>&-
  wait "$holder"
  velapg -q start mine
  velapg -q stop mine
}
check "nor is one beside its server, or a lock" run_files

forge() { # the file, by a process of the server's
  sql mine "copy (select 1) to program 'cat >/dev/null; echo $(base64 -w0 forged) | base64 -d >postmaster.pid'" ||
    fail "the file could not be forged"
}
believed() {
  velapg -q start mine
  local url
  url=$(velapg url mine)
  lines() { sed -e "3s/.*/${1:-$(sed -n 3p "$mine/postmaster.pid")}/" -e '4s/.*/1/' -e '5s,.*,evil.example.com,' "$mine/postmaster.pid"; }
  lines >forged
  forge
  has_line evil <"$mine/postmaster.pid" || fail "the file is not forged"
  equal "$(velapg url mine)" "$url"
  equal "$(velapg --json status mine | jq -r '.state, .url' | tr '\n' ' ')" "running $url "
  equal "$(velapg --json status mine | jq .port)" "$(field mine port)"
  lines 9223372036854775807 >forged
  forge
  velapg status mine
  velapg -q stop mine
}
check "what a branch's postmaster.pid says of host, port and time is not believed" believed

version_file() {
  as www-data mv "$mine/PG_VERSION" "$mine/kept"
  as www-data ln -s /etc/shadow "$mine/PG_VERSION"
  refuses 4 'PG_VERSION" is not a regular file' velapg start mine
  as www-data rm "$mine/PG_VERSION"
  as www-data ln -s kept "$mine/PG_VERSION"
  refuses 4 'PG_VERSION" is not a regular file' velapg start mine
  as www-data rm "$mine/PG_VERSION"
  as www-data truncate -s 10G "$mine/PG_VERSION"
  refuses 4 'PG_VERSION" is too large' velapg start mine
  as www-data mv "$mine/kept" "$mine/PG_VERSION"
}
check "a PG_VERSION that is a link, or endless, is refused" version_file

logs() {
  local dir log
  velapg -q start mine
  dir=$(velapg --json status mine | jq -r .socket_dir)
  velapg -q stop mine
  log=$dir/postgres.log
  velapg logs mine -n 3 | has_line 'database system is shut down'
  equal "$(velapg logs mine -n 3 | wc -l)" 3
  velapg --json logs mine -n 1 | jq -e '.text | test("shut down")'
  as www-data bash -c "printf '\\e]0;title\\a\\tx\\n' >>'$log'"
  equal "$(on_terminal 'velapg logs mine -n 1' </dev/null)" $'\\x1b]0;title\\x07\tx'
  equal "$(velapg logs mine -n 1)" $'\e]0;title\a\tx' "the log on no terminal"
  timeout 20 velapg logs mine -n 1 -f >followed &
  local follower=$!
  wait_until 10 has_line title followed
  as www-data bash -c "echo added >>'$log'"
  wait_until 10 eval "[[ \$(tail -n 1 followed) == added ]]"
  kill "$follower"
  wait "$follower" 2>/dev/null || true
  as www-data rm "$log"
  as www-data ln -s /etc/shadow "$log"
  refuses 4 'is a symbolic link' velapg logs mine
  as www-data rm "$log"
  as www-data mkfifo "$log"
  { timeout 10 velapg logs mine 2>&1 || true; } | has_line 'is not a regular file'
  as www-data rm "$log"
}
check "logs shows a regular file of the branch's user, and nothing that a terminal obeys" logs

# ---- What root imports

imported() {
  local data=$VELAFS_SANDBOX/cluster
  ln -s /etc/shadow "$data/shadow"
  refuses 4 '"shadow" to "/etc/shadow"' velafs import stolen --from-dir "$data"
  refuses 4 '"/etc/shadow" cannot be read: Permission denied' velafs import stolen --from-dir "$data" --links follow
  { velafs import stolen --from-dir "$data" --links follow 2>&1 || true; } | has_line 'hint: it is read with the rights of "postgres".*--read-as root'
  velafs import stolen --from-dir "$data" --read-as root --links follow 2>&1 | has_line 'warning: "shadow" leads out of the directory'
  rm "$data/shadow"
  echo secret >"$data/base/secret"
  chmod 600 "$data/base/secret"
  refuses 4 'base/secret" cannot be read' velafs import other --from-dir "$data"
  rm "$data/base/secret"
  host_start "$data"
  refuses 4 'a server runs on it' velafs import other --from-dir "$data"
  host_stop "$data"
  velafs -q import other --from-dir "$data"
  tar -C "$data" -cf other.tar .
  velafs -q import other2 --from-tar other.tar
  for source in stolen other other2; do velafs -q unprotect "$source"; done
  velafs -q delete stolen other other2
}
check "root imports a user's directory with that user's rights" imported

# ---- What root exports

planted() {
  local out=$VELAFS_SANDBOX/target target=$VELAFS_SANDBOX/precious planter
  install -d -o www-data -m 777 "$out"
  touch planting
  as www-data bash -c "while [[ -e $PWD/planting ]]; do : >'$out/planted' && rm -f '$out/planted'; done" 2>/dev/null &
  planter=$!
  local i status
  for i in {1..5}; do
    status=0
    velafs -q export main --to-dir "$out" 2>said || status=$?
    cat said
    ((status == 0)) || continue
    [[ ! -e $out/planted ]] || fail "a stranger's file is in the export"
    equal "$(stat -c '%U %a' "$out")" "postgres 700"
    break
  done
  rm planting
  wait "$planter" || true
  echo kept >"$target"
  install -d -o www-data "$VELAFS_SANDBOX/his"
  as www-data ln -s "$target" "$VELAFS_SANDBOX/his/tar"
  refuses 4 'is a link that another user made' velafs export main --to-tar "$VELAFS_SANDBOX/his/tar"
  as www-data ln -sf /dev/null "$VELAFS_SANDBOX/his/tar"
  refuses 4 'is a link that another user made' velafs export main --to-tar "$VELAFS_SANDBOX/his/tar"
  ln -s /dev/null "$VELAFS_SANDBOX/his/roots"
  velafs -q export main --to-tar "$VELAFS_SANDBOX/his/roots"
  equal "$(cat "$target")" kept
}
check "root's exports take in nothing of a stranger's, and follow no link of his" planted

no_setuid() {
  as www-data cp /bin/true "$mine/true"
  as www-data chmod 4755 "$mine/true"
  velafs export mine --to-dir "$VELAFS_SANDBOX/exported" 2>&1 | has_line 'were left out'
  equal "$(stat -c %a "$VELAFS_SANDBOX/exported/true")" 755
  as www-data rm "$mine/true"
}
check "a setuid program of a user's branch is not exported" no_setuid

exit $((failures > 0))
