#!/usr/bin/env bash
# How a team's CI uses a store that root serves: an ordinary user takes clones of an approved bookmark of
# production's data, whose files are another user's, runs servers and migrations on them, looks at what they
# changed, and has them promoted, or lets them expire.
# shellcheck disable=SC2317
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

# Anybody but root and the data's owner. Its home is not to be written to.
readonly ci=www-data
install -d -o "$ci" "$VELAFS_SANDBOX/tmp"
as_ci() { runuser -u "$ci" -- env TMPDIR="$VELAFS_SANDBOX/tmp" "$@"; }
by_ci() { # by_ci COMMAND...: in which velafs, velapg and what goes to servers are that user's
  (
    for program in velafs velapg psql; do eval "$program() { as_ci $program \"\$@\"; }"; done
    "$@"
  )
}

make_store 1
chmod 711 "$VELAFS_SANDBOX"
velafs -q policy set --of-store user_group="$ci"

policies=$VELAFS_SANDBOX/policies.toml
cat >"$policies" <<END
[store]
user_group = "$ci"
max_branches_per_owner = 8

[source.main]
ttl = "2d"
max_ttl = "7d"
quota = "2G"
on_expire = "bookmark"

[branch.main]
bookmark_every = "1h"
END
governed() {
  velafs policy apply "$policies" --dry-run >"$VELAFS_SANDBOX/plan"
  has_line -Fx '+ source main: quota=2G' <"$VELAFS_SANDBOX/plan"
  equal "$(velafs --json policy show main | jq -r '.policies[] | select(.key == "ttl").value')" null
  velafs -q policy apply "$policies"
  equal "$(velafs --json policy show main | jq -r '.policies[] | select(.key == "ttl") | .value + " " + .from')" "2d source"
  equal "$(velafs policy apply "$policies")" "nothing to change"
}
check "policies come from a file, which first says what it would change" governed

not_policies() {
  printf '[store]\nttl = 3d\n' >"$VELAFS_SANDBOX/wrong.toml"
  refuses 2 'line 2' velafs policy apply "$VELAFS_SANDBOX/wrong.toml"
  printf '[stores]\nttl = "3d"\n' >"$VELAFS_SANDBOX/wrong.toml"
  refuses 2 '"stores" is not a table' velafs policy apply "$VELAFS_SANDBOX/wrong.toml"
  refuses 1 'cannot read "/nowhere"' velafs policy apply /nowhere
}
check "a file that is none of policies is refused, with the line" not_policies

scheduled() {
  wait_until 30 eval 'velafs --json bookmark list main | jq -e ".bookmarks[] | select(.scheduled)" >/dev/null'
  velafs bookmark list main | has_line 'main@auto-20'
}
check "the daemon makes the bookmarks that a policy asks for" scheduled

velafs -q bookmark create main@nightly --note 'after the nightly load'
check "what is not approved is not taken" by_ci refuses 4 '"main@nightly" belongs to "root" and is not approved' velafs clone main@nightly pr-1
velafs -q approve main@nightly

cloned() {
  by_ci velafs --json clone main@nightly pr-1 --label pr=1 >"$VELAFS_SANDBOX/pr-1.json"
  jq -e --arg ci "$ci" '.owner == $ci and .shown_as == $ci and .data_owner == "postgres" and .quota_bytes == 2147483648
    and .expires_at != null' "$VELAFS_SANDBOX/pr-1.json"
  equal "$(as_ci find "$mount_dir/pr-1" ! -user "$ci" | wc -l)" 0 "files that are shown as somebody else's"
  equal "$(find "$mount_dir/main" ! -user postgres | wc -l)" 0 "files of main that are not its owner's any more"
  ! as_ci ls "$mount_dir/main" 2>/dev/null || fail "the user reads main itself"
}
check "a user's clone has a quota, an end, and files that are shown as his" cloned

shown() {
  local file=$mount_dir/pr-1/made
  as_ci touch "$file"
  as_ci chown "$ci" "$file"
  ! chown root "$file" 2>/dev/null || fail "a file got another owner"
  equal "$(stat -c %U "$file")" "$ci"
  # The group that it is shown to belong to is the user's, and not the data's.
  as_ci chmod 664 "$file"
  equal "$(stat -c %a "$file")" 604 "the mode that is shown"
  velafs -q clone pr-1 raw --as-user none
  equal "$(stat -c %U "$mount_dir/raw/made")" postgres "whose the file really is"
  velafs -q delete --purge raw
  as_ci rm "$file"
}
check "what the user makes belongs to the data's owner" shown

migrated() {
  velapg start pr-1 >"$VELAFS_SANDBOX/started"
  equal "$(sql pr-1 'select current_user')" postgres
  sql pr-1 'alter table pgbench_accounts add column migrated_at timestamptz default now(); create table audit_of_pr(id int)'
  velapg status pr-1 | has_line running
}
check "he runs a server and a migration on it" by_ci migrated
not_his() {
  refuses 4 'belongs to user "postgres"' velapg start main
  refuses 4 '"main" belongs to "root"' velafs promote pr-1 --onto main
}
check "but not on what is not his" by_ci not_his

looked_at() {
  velafs --json diff main@nightly pr-1 --tables --schema >"$VELAFS_SANDBOX/diff.json"
  jq -e '.schema.diff | contains("migrated_at")' "$VELAFS_SANDBOX/diff.json"
  velafs diff main@nightly pr-1 --tables --schema | has_line 'audit_of_pr'
}
check "and sees which tables and what DDL it changed" by_ci looked_at

in_parallel() {
  velapg run --parallel 2 pr-1 -- sh -c 'psql -qXAtc "select count(*) from audit_of_pr"' >"$VELAFS_SANDBOX/out"
  equal "$(sort "$VELAFS_SANDBOX/out" | tr '\n' ' ')" "[0] 0 [1] 0 "
}
touch "$VELAFS_SANDBOX/out"
check "tests run on clones of the migrated branch" by_ci in_parallel

promoted() {
  by_ci velapg stop pr-1 >/dev/null
  velafs -q promote pr-1 --onto main
  velapg start main >/dev/null
  equal "$(sql main 'select count(*) from audit_of_pr')" 0
  velapg stop main >/dev/null
  equal "$(find "$mount_dir/main" ! -user postgres | wc -l)" 0 "files of main that are not its owner's any more"
  by_ci velafs -q delete pr-1
}
check "an admin promotes it, and its files are the data's owner's again" promoted

# What is written is synced at the end, if not before: then the server learns that there is no room, and stops.
full() {
  by_ci velafs -q clone main@nightly pr-2 --quota 40M
  by_ci velapg start pr-2 >/dev/null
  ! by_ci sql pr-2 'create table huge as select repeat(md5(i::text), 40) from generate_series(1, 200000) i' ||
    fail "it took more than its quota"
  by_ci velapg logs pr-2 | has_line -iE 'quota exceeded|input/output error' || fail "its log does not say why"
  (($(field pr-2 own_bytes) <= 44 << 20)) || fail "it occupies $(field pr-2 own_bytes) bytes"
  by_ci velafs -q quota pr-2 1G
  by_ci velapg stop pr-2 --mode immediate >/dev/null || true
  by_ci velapg start pr-2 >/dev/null
  equal "$(by_ci sql pr-2 'select count(*) from pgbench_branches')" 1
  by_ci sql pr-2 'create table big as select repeat(md5(i::text), 40) from generate_series(1, 20000) i'
  by_ci refuses 4 'policy quota allows at most 2G' velafs quota pr-2 3G
  by_ci velapg stop pr-2 >/dev/null
}
check "a quota stops what would fill the disk, and nothing else" full

is_expired() { ! velafs --json show pr-2 >/dev/null 2>&1; }
expired() {
  by_ci velafs -q ttl pr-2 1s
  wait_until 60 is_expired
  # Not where others could take it: main is not the user's.
  velafs --json bookmark list main | jq -e '[.bookmarks[] | select(.name | contains("expired"))] == []'
  by_ci velafs -q undelete pr-2 --as again
  by_ci velapg start again >/dev/null
  equal "$(by_ci sql again 'select count(*) from big')" 20000
  by_ci velapg stop again >/dev/null
}
expired_of_owner() {
  by_ci velafs -q clone again own --ttl 1s
  wait_until 60 eval '! velafs --json show own >/dev/null 2>&1'
  velafs --json bookmark list again | jq -e '.bookmarks[] | select(.name == "again@expired-own")'
  by_ci velafs -q clone again@expired-own own-again
}
check "one that is forgotten expires, into the trash where its parent is another's" expired
check "and as a bookmark of a parent of the same owner" expired_of_owner

logged() {
  velafs --json audit >"$VELAFS_SANDBOX/audit.json"
  count() { jq "[.entries[] | select($1)] | length" "$VELAFS_SANDBOX/audit.json"; }
  equal "$(count ".user == \"$ci\" and .verb == \"clone\" and .result == \"refused\"")" 2
  equal "$(count ".verb == \"clone\" and .subjects == [\"pr-1\"] and .source == \"main@nightly\" and .result == \"done\"")" 1
  equal "$(count '.verb == "policy-apply" and .result == "done"')" 2
  equal "$(count '.verb == "bookmark-create" and (.subjects[0] | startswith("main@auto-"))')" 1
  equal "$(count '.verb == "promote" and .subjects == ["main"] and .source == "pr-1" and .result == "done"')" 1
  equal "$(count '.verb == "expire" and .subjects == ["pr-2"]')" 1
  equal "$(count '.verb == "expire" and .subjects == ["own", "again@expired-own"]')" 1
  velafs -q audit verify
}
check "the audit log tells all of it" logged
