#!/usr/bin/env bash
# Who may do what, as users of the system see it: every command, and every kind of access to files, by the
# owner of a branch, another user of the store, one who may only look, one without a role, and root. A
# daemon of root's serves users velafs-u1 to velafs-u4, who are made for this test and exist in its
# sandbox alone. The first two, who are users, are of one group: so group bits must not help either.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"
cp "$build_dir/integration/programs/file_access" bin/

owner=velafs-u1 other=velafs-u2 viewer=velafs-u3 none=velafs-u4
make_user "$owner" velafs-users
make_user "$other" velafs-users
make_user "$viewer" velafs-viewers
make_user "$none" velafs-nobodies
as() { # as USER COMMAND...
  runuser -u "$1" -- "${@:2}"
}

# Of root's data, open to all but for what PostgreSQL never has open.
mkdir -p source/global source/pg_tblspc
echo 15 >source/PG_VERSION
printf "%08192d" 0 >source/global/pg_control
ln -s PG_VERSION source/link
cp /bin/true source/program
chown -hR postgres: source
chmod 750 source source/global
velafs -q init
velafs -q import main --from-dir "$VELAFS_SANDBOX/source"
velafs -q unprotect main
velafs -q mount
velafs -q bookmark create main@nightly
velafs -q approve main@nightly
velafs -q policy set --of-store user_group=velafs-users viewer_group=velafs-viewers

# ---- Commands --------------------------------------------------------------------------------------

# The owner's branches, as they are before a command: `one`, shown as his; `plain`, shown as its source is,
# which is postgres's; `held`, which is protected; each with a bookmark; and `gone`, in the trash. The other
# user's, `others`, and the viewer's, who can have none but by root.
names=(one plain held gone others others-target made renamed)
make_branches() {
  local branch
  for branch in "${names[@]}"; do
    velafs -q unprotect "$branch" 2>/dev/null || true
    velafs -q delete --purge "$branch" 2>/dev/null || true
  done
  velafs -q gc --trash
  as "$owner" velafs -q clone main@nightly one
  as "$owner" velafs -q clone main@nightly plain --as-user none
  as "$owner" velafs -q clone main@nightly held
  as "$owner" velafs -q clone main@nightly gone
  as "$owner" velafs -q delete gone
  as "$other" velafs -q clone main@nightly others
  for branch in one plain held; do as "$owner" velafs -q bookmark create "$branch@then"; done
  as "$owner" velafs -q protect held
}
state() { # what there is of the owner's, but for what is counted
  velafs --json list | jq -S '[.branches[] | [.name, .owner, .protected, .labels, .note, .quota_bytes, .expires_at, .parent]]'
  velafs --json list --trash | jq -S '[.branches[] | select(.owner == "'"$owner"'").name]'
  velafs --json bookmark list | jq -S '[.bookmarks[].name]'
  velafs --json policy show
}
make_branches

printf '[store]\nuser_group = "velafs-users"\nviewer_group = "velafs-viewers"\n' >policy.toml

# Each command with its exit status for: owner, other, viewer, none, root. $B is each of the branches.
commands() {
  cat <<'TABLE'
approve $B                               | 4 4 4 4 0
approve $B@then                          | 4 4 4 4 0
audit                                    | 4 4 4 4 0
audit ship --to /dev/null                | 4 4 4 4 4
audit ship --to - --forget               | 4 4 4 4 3
audit ship --to -                        | 4 4 4 4 0
audit trim --keep 9d                     | 4 4 4 4 0
audit verify                             | 4 4 4 4 0
bookmark create $B@new                   | 0 4 4 4 0
bookmark delete $B@then                  | 0 4 4 4 0
bookmark list                            | 0 0 0 4 0
chown $B velafs-u2                       | 4 4 4 4 0
clone $B made                            | 0 4 4 4 0
clone $B@then made                       | 0 4 4 4 0
clone main@nightly made --owner velafs-u2 | 4 0 4 4 0
clone main@nightly made --as-user velafs-u2 | 4 0 4 4 0
clone main made                          | 4 4 4 4 0
delete $B                                | 0:4 4 4 4 0:4
delete $B --force --purge                | 0:4 4 4 4 0:4
diff $B main                             | 0 0 0 4 0
expire                                   | 0 0 4 4 0
export $B --to-tar /dev/null             | 0 4 4 4 0
export $B@then --to-tar /dev/null        | 0 4 4 4 0
gc                                       | 4 4 4 4 0
gc --trash                               | 4 4 4 4 0
import made --from-dir /etc              | 4 4 4 4 4
label $B a=b                             | 0 4 4 4 0
label $B pool=b                          | 0 4 4 4 0
list                                     | 0 0 0 4 0
list --trash                             | 0 0 0 4 0
metrics                                  | 0 0 0 4 0
note $B text                             | 0 4 4 4 0
policy apply policy.toml                 | 4 4 4 4 0
policy set $B ttl=1d                     | 4 4 4 4 0
policy set --of-store ttl=1d             | 4 4 4 4 0
policy show $B                           | 0 0 0 4 0
policy unset $B ttl                      | 4 4 4 4 0
promote $B --onto main                   | 4 4 4 4 0
promote main --onto $B                   | 4 4 4 4 0:4
promote others --onto $B                 | 4 4 4 4 0:4
promote $B --onto others                 | 4 4 4 4 0
protect $B                               | 0 4 4 4 0
quota $B 1G                              | 0 4 4 4 0
rename $B renamed                        | 0 4 4 4 0
reset $B --to main@nightly               | 0:4 4 4 4 0:4
reset others --to $B                     | 4 4 4 4 0
scrub                                    | 4 4 4 4 0
seal                                     | 4 4 4 4 0
show $B                                  | 0 0 0 4 0
stats                                    | 0 0 0 4 0
status                                   | 0 0 0 4 0
tablespaces $B                           | 0 0 0 4 0
tablespaces $B --bring-in                | 0 4 4 4 0
tablespaces $B --drop 5                  | 3 4 4 4 3
tree                                     | 0 0 0 4 0
ttl $B 1d                                | 0 4 4 4 0
umount                                   | 4 4 4 4 -
unapprove $B                             | 4 4 4 4 0
undelete gone                            | 0 4 4 4 0
unprotect $B                             | 0 4 4 4 0
TABLE
}

run_as() { # run_as USER EXPECTED COMMAND...: EXPECTED is an exit status
  local status=0 said
  said=$(as "$1" velafs -q "${@:3}" 2>&1 >/dev/null) || status=$?
  [[ $status == "$2" ]] || echo "velafs ${*:3} by $1: $status, not $2: $said" | tee -a wrong
}
# Those who may not change the owner's branches leave them as they were.
by_others() {
  local line command expected before words branch branches
  make_branches
  before=$(state)
  while read -r line; do
    command=${line%|*}
    read -ra expected <<<"${line##*|}"
    branches=(one)
    [[ $command != *'$B'* ]] || branches=(one plain held)
    for branch in "${branches[@]}"; do
      read -ra words <<<"${command//\$B/$branch}"
      run_as "$other" "${expected[1]}" "${words[@]}"
      run_as "$viewer" "${expected[2]}" "${words[@]}"
      run_as "$none" "${expected[3]}" "${words[@]}"
      velafs -q unprotect made 2>/dev/null || true
      velafs -q delete --purge made 2>/dev/null || true
    done
    [[ $(state) == "$before" ]] || echo "the owner's branches have changed: $command" | tee -a wrong
  done < <(commands)
  [[ ! -s wrong ]] || fail "see above"
}
check "commands of others on a user's branches are refused, and change nothing" by_others

by_rulers() { # by_rulers USER COLUMN
  local line command expected before words branch branches status
  rm -f wrong
  make_branches
  before=$(state)
  while read -r line; do
    command=${line%|*}
    read -ra expected <<<"${line##*|}"
    status=${expected[$2]}
    [[ $status != - ]] || continue
    branches=(one)
    [[ $command != *'$B'* ]] || branches=(one held)
    for branch in "${branches[@]}"; do
      [[ $(state) == "$before" ]] || make_branches
      read -ra words <<<"${command//\$B/$branch}"
      # Of a protected branch it may be another one.
      if [[ $branch == held ]]; then run_as "$1" "${status#*:}" "${words[@]}"; else run_as "$1" "${status%:*}" "${words[@]}"; fi
      velafs -q policy unset --of-store ttl
    done
  done < <(commands)
  [[ ! -s wrong ]] || fail "see above"
}
check "its owner's commands do what the owner may" by_rulers "$owner" 0
check "root's commands do what root may" by_rulers root 4

# Each command there is has a line in the table, or is one that asks nothing of a store others share.
all_commands() {
  local command
  for command in $(velafs candidates -- ''); do
    case $command in completion | config | doctor | help | init | mount | bookmark | policy) continue ;; esac
    has_line "^$command " <(commands) || fail "\"$command\" is not in the table"
  done
}
check "all commands are in the table" all_commands

# ---- Files -----------------------------------------------------------------------------------------

# accesses BRANCH USER: one line each, the name and what came of it, of what USER tries on it.
accesses() {
  as "$2" file_access "$mount_dir/$1" "$mount_dir/${3:-others}"
}
# Nothing but to see that the branch is there.
shut_out() { # shut_out BRANCH USER
  local seen
  seen=$(accesses "$1" "$2")
  equal "$(grep -c . <<<"$seen")" 43 "number of accesses"
  equal "$(grep -vE ' (EACCES|EPERM)$' <<<"$seen" | tr '\n' ' ')" "stat-top ok statfs-top ok " "what $2 may on $1"
}
file_table() {
  local branch user before
  make_branches
  before=$(cd "$mount_dir" && find one plain held -printf '%p %M %u %s %T@\n' | sort)
  for user in "$other" "$viewer" "$none"; do
    for branch in one plain held; do shut_out "$branch" "$user"; done
  done
  equal "$(cd "$mount_dir" && find one plain held -printf '%p %M %u %s %T@\n' | sort)" "$before" "the files"
  # He owns the branch, but its files are shown as postgres's.
  shut_out plain "$owner"
}
check "no file of a user's branch can be touched by others, in any way" file_table

owner_files() {
  local seen
  as "$owner" velafs -q clone one made
  seen=$(accesses one "$owner" made)
  equal "$(grep -v ' ok$' <<<"$seen" | tr '\n' ' ')" \
    "getxattr EOPNOTSUPP listxattr EOPNOTSUPP chown-to-root EPERM setxattr EOPNOTSUPP removexattr EOPNOTSUPP mkdev EPERM $(
    )rename-top EACCES rmdir-top EACCES link-out EXDEV rename-out EXDEV link-in EXDEV rename-in EXDEV rename-over EXDEV " \
    "what the owner may not"
}
check "its owner does with them what any owner does" owner_files

bookmarks_have_no_files() {
  local user name
  for user in root "$owner" "$other"; do
    for name in one@then gone held@then; do
      ! as "$user" stat "$mount_dir/$name" 2>/dev/null || fail "$user finds $name"
    done
  done
}
check "bookmarks and deleted branches are no directories" bookmarks_have_no_files

exit $((failures > 0))
