#!/usr/bin/env bash
# What a hostile caller, user or PGDATA may try with a daemon of root's.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

# The whole of it with an open umask: nothing may rely on a tight one.
umask 0
make_store 1
cluster=$VELAFS_SANDBOX/cluster
velafs -q clone main one

# ---- Names and texts

longest=$(printf 'a%.0s' {1..63})
bad_names=('' ' ' .. . / a/b -x --help -a '*' A ä "$longest"a $'a\nb' $'\e[2Jx' $'\xff' a@b "$(printf 'a%.0s' {1..50000})")

names_refused() {
  local name words shown=$VELAFS_SANDBOX/refused
  for name in "${bad_names[@]}"; do
    for words in "clone main" "delete" "show" "import --from-dir $cluster"; do
      [[ $words != delete || $name != '*' ]] || continue # a pattern, which all branches match
      # shellcheck disable=SC2086
      refuses 2 . velafs $words -- "$name"
    done
    [[ $name == *@* ]] || refuses 2 . velafs bookmark create -- "main@$name"
  done >"$shown" 2>&1 || {
    tail -n 5 "$shown"
    exit 1
  }
  ! has_line -aP '[\x00-\x09\x0b-\x1f\x7f]' "$shown" || fail "a message has a control character"
  equal "$(velafs --json list | jq -c '[.branches[].name]')" '["main","one"]'
}
check "a name that is not allowed is wrong usage, in one clear line" names_refused

names_kept() {
  velafs clone main "$longest"
  [[ -d $mount_dir/$longest/base ]] || fail "it is not there"
  velafs bookmark create "$longest@$longest"
  velafs clone "$longest@$longest" 0
  velafs delete "$longest" 0
}
check "the longest name works" names_kept

texts_kept() {
  local note=$'two\nlines \e[31m and "quotes" \\ ä€' value=$'a=b "c" ä'
  velafs clone main texts --note "$note" --label "key=$value" --owner 'zoë o'\''hara'
  equal "$(field texts note)" "$note"
  equal "$(field texts labels.key)" "$value"
  equal "$(field texts owner)" "zoë o'hara"
  velafs show texts | has_line -F 'two\nlines \x1b[31m and' || fail "show does not show the note in words"
  ! velafs show texts | has_line -P '[\x00-\x08\x0b-\x1f]' || fail "show prints control characters"
  velafs umount
  velafs mount
  equal "$(field texts note)" "$note" "the note after a remount"
  velafs delete texts
}
check "notes, labels and owners are kept exactly, and shown harmlessly" texts_kept

texts_refused() {
  refuses 2 'not UTF-8' velafs clone main bad --note $'\xff'
  refuses 2 'longer than' velafs clone main bad --note "$(printf 'a%.0s' {1..9000})"
  refuses 2 'control' velafs clone main bad --owner $'a\nb'
  refuses 2 'empty' velafs clone main bad --owner ''
  refuses 2 'label' velafs clone main bad --label '=x'
  refuses 2 'control' velafs clone main bad --label $'key=\e[2J'
  refuses 2 . velafs clone main bad --ttl -1s
  refuses 2 . velafs clone main bad --ttl 99999999999999999999d
  refuses 2 'empty' velafs import bad --from-dir ''
  refuses 2 'empty' velafs --store '' list
  refuses 2 'not UTF-8' velafs import bad --from-dir $'/\xff'
  refuses 3 'x1b' velafs import bad --from-dir $'/no\e[2J'
  refuses 1 . velafs import bad --from-dir "/$(printf 'a%.0s' {1..5000})"
}
check "texts that cannot be kept are refused" texts_refused

# ---- Whose files they are

private_files() {
  velapg start one
  sql one 'create table t as select 1'
  velafs -q import again --from-dir "$cluster"
  velafs stats >/dev/null
  local open
  open=$(find "$VELAFS_STORE" -xdev -mindepth 1 \( -path "$mount_dir" -o -path "$VELAFS_STORE/run" \) -prune -o \
    -perm /077 -printf '%m %p\n')
  [[ -z $open ]] || fail "open to others: $open"
  # What leads to the sockets of servers may be passed through, not read.
  equal "$(stat -c '%a' "$VELAFS_STORE" "$VELAFS_STORE/run" | tr '\n' ' ')" '711 711 '
  # What the server of a branch writes there is behind a directory of its own.
  open=$(find "$VELAFS_STORE/run" -mindepth 1 -maxdepth 1 -perm /077 -printf '%m %p\n')
  [[ -z $open ]] || fail "open to others: $open"
  equal "$(stat -c '%a %U' "$VELAFS_STORE/run/api.sock")" '600 root'
  # A server's socket is for whoever may connect; its directory decides who that is.
  find "$VELAFS_STORE/run" -mindepth 2 -type s | has_line . || fail "no server's socket was looked at"
  velapg stop one
  velafs -q unprotect again
  velafs -q delete again
}
check "with umask 0, no file of a store is open to others" private_files

no_setuid_mount() {
  has_line " $mount_dir fuse[^ ]* [^ ]*nosuid,nodev" /proc/self/mounts
}
check "setuid programs and devices of a branch are none" no_setuid_mount

connects() { # connects SOCKET: prints the answer of `list`
  curl --silent --show-error --max-time 5 --unix-socket "$1" -d '{}' http://velafs/v1/list
}
others_refused() {
  ! as_postgres bash -c "$(declare -f connects); connects '$VELAFS_STORE/run/api.sock'" || fail "the socket's mode let them"
  # By whatever way they get there, the server asks the kernel who they are.
  chmod 666 "$VELAFS_STORE/run/api.sock"
  as_postgres bash -c "$(declare -f connects); connects '$VELAFS_STORE/run/api.sock'" |
    jq -e '.error.code == "refused"'
  chmod 600 "$VELAFS_STORE/run/api.sock"
  connects "$VELAFS_STORE/run/api.sock" | jq -e '.result.branches | length == 2'
  local program
  program=$(command -v velafs)
  velafs() { as_postgres "$program" "$@"; }
  refuses 4 'belongs to user "root"' velafs list
}
if command -v curl >/dev/null; then
  check "another user's call is refused" others_refused
else
  skip "another user's call is refused" "there is no curl"
fi

store_of_others() {
  velafs -q umount
  chmod 777 "$VELAFS_STORE"
  refuses 4 'may write' velafs list
  chmod 711 "$VELAFS_STORE"
  chown postgres "$VELAFS_STORE"
  refuses 5 'is not mounted' velafs list
  { velafs list 2>&1 || true; } | has_line 'hint: no daemon runs: ask an administrator, or user "postgres", to run velafs mount'
  chown root "$VELAFS_STORE"
  velafs -q mount
}
check "a store that others may write to, or that is another's, is refused" store_of_others

# ---- Hostile sources

hostile_source() {
  local source=$VELAFS_SANDBOX/source
  cp -a "$cluster" "$source"
  truncate -s 1T "$source/base/1/99999"
  mkfifo "$source/postmaster.pid"
  local before start
  before=$(store_bytes)
  start=$(now_ms)
  velafs -q import sparse --from-dir "$source"
  at_most $(($(now_ms) - start)) 10000 "milliseconds of an import of a hole of 1 TiB"
  at_most $(($(store_bytes) - before)) 20000000 "bytes that it took"
  equal "$(stat -c %s "$mount_dir/sparse/base/1/99999")" $((1 << 40))
  velafs -q clone sparse end
  echo end >>"$mount_dir/end/base/1/99999"
  equal "$(tail -c 4 "$mount_dir/end/base/1/99999")" end
  velafs -q unprotect sparse
  velafs -q delete end sparse
  mknod "$source/base/1/zero" c 1 5
  ln -s loop "$source/base/1/loop"
  refuses 4 '2 files cannot be copied' velafs import bad --from-dir "$source"
  rm -r "$source"
}
check "holes cost nothing; devices and loops are refused by name" hostile_source

swapped_meanwhile() {
  local source=$VELAFS_SANDBOX/swapped swapper
  cp -a "$cluster" "$source"
  mkdir "$VELAFS_SANDBOX/secret"
  echo secret >"$VELAFS_SANDBOX/secret/1259"
  swap() {
    while mv -T "$source/base/1" "$source/base/away" && ln -s "$VELAFS_SANDBOX/secret" "$source/base/1" &&
      rm "$source/base/1" && mv -T "$source/base/away" "$source/base/1"; do :; done
  }
  swap 2>/dev/null &
  swapper=$!
  local imported=0
  for _ in 1 2 3 4 5 6; do
    if velafs -q import swapped --from-dir "$source" 2>"$VELAFS_SANDBOX/err"; then
      ((++imported))
      # Found as a link, it is imported as one, and said to be.
      ! grep -q secret "$mount_dir/swapped/base/1/1259" || has_line 'leads out' "$VELAFS_SANDBOX/err" ||
        fail "it followed what it had found to be a directory"
      velafs -q unprotect swapped
      velafs -q delete swapped
    fi
  done
  kill "$swapper"
  wait "$swapper" 2>/dev/null || true
  cat "$VELAFS_SANDBOX/err"
  echo "imported $imported times"
  velafs list >/dev/null
}
check "a directory swapped for a link again and again is never taken for one" swapped_meanwhile

itself() {
  velafs -q import itself --from-dir "$mount_dir/main"
  equal "$(cat "$mount_dir/itself/PG_VERSION")" "$(cat "$cluster/PG_VERSION")"
  velafs -q unprotect itself
  velafs -q delete itself
  refuses 4 . velafs import bad --from-dir "$VELAFS_STORE"
}
check "a branch can be imported through its own mount" itself

# ---- Hostile branches

velapg_program=$(command -v velapg)
velapg() {
  timeout 20 "$velapg_program" "$@"
}
hostile_branch() {
  local branch=$mount_dir/one
  rm -f "$branch/postmaster.pid"
  mkfifo "$branch/postmaster.pid"
  timeout 20 velafs list >/dev/null || fail "list waits for a FIFO"
  velapg -q start one
  velapg -q stop one
  ln -s /dev/zero "$branch/postmaster.pid"
  velapg -q start one
  velapg -q stop one
}
check "a postmaster.pid that is no file keeps nobody waiting" hostile_branch
