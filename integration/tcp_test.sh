#!/usr/bin/env bash
# A branch reached over TCP, by clients that take no Unix socket.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
begin "$@"

make_store 0
velafs -q clone main one

login_file() { echo "$VELAFS_STORE/run/$(field one id)/tcp-login.json"; }
password() { jq -r .password "$(login_file)"; }
tcp_of() { velapg --json status "$1" | jq -r .tcp; }
query() { psql -qXAt -d "$1" -c "${2:-select 1}"; } # query URL [SQL]

gives_password() {
  velapg start one --tcp >out 2>warnings
  has_line 'warning: the password of role "postgres" was set for TCP' <warnings
  has_line 'over TCP: velapg url one --tcp' <out
  local url
  url=$(velapg url one --tcp)
  equal "$url" "postgresql://postgres:$(password)@127.0.0.1:$(field one port)/postgres"
  equal "$(query "$url" 'select current_user, host(inet_server_addr())')" 'postgres|127.0.0.1'
  [[ $(password) =~ ^[0-9a-f]{40}$ ]] || fail "the password is \"$(password)\""
  { query "${url/:$(password)/:wrong}" 2>&1 || true; } | has_line 'password authentication failed' || fail "any password will do"
  equal "$(velapg --json status one | jq -c '[.tcp, .url]')" "[true,\"$(velapg url one)\"]"
  equal "$(velapg --json url one --tcp | jq -r .url)" "$url"
}
check "start --tcp makes a password, and url --tcp gives it" gives_password

no_template() {
  velafs -q clone main bare
  velapg -q start bare
  sql bare "update pg_database set datistemplate = false where datname = 'template1'"
  sql bare 'drop database template1'
  velapg -q restart bare --tcp 2>/dev/null
  equal "$(query "$(velapg url bare --tcp)")" 1
  velapg -q stop bare
  velafs -q delete --purge bare
}
check "a branch without template1 is reached over TCP, too" no_template

environment() {
  (
    eval "$(velapg env one --tcp)"
    equal "$(psql -qXAt -c 'select host(inet_server_addr())')" 127.0.0.1
    equal "$(query "$DATABASE_URL" 'select host(inet_server_addr())')" 127.0.0.1
    equal "$PGHOST $PGPASSWORD" "127.0.0.1 $(password)"
  )
  velapg --json env one --tcp | jq -e --arg password "$(password)" '.PGPASSWORD == $password and .PGHOST == "127.0.0.1"'
  ! velapg env one | has_line PASSWORD || fail "env has the password unasked"
}
check "env --tcp sets variables for TCP" environment

secret() {
  equal "$(stat -c '%a %U' "$(login_file)")" "600 postgres" "mode and owner of the file"
  sql one "alter system set log_statement = 'all'"
  sql one 'select pg_reload_conf()'
  velapg -q restart one 2>/dev/null
  local place
  for place in "$(velapg logs one -n 100000)" "$(velafs audit)" "$(velapg --json status)" "$(velafs --json show one)" \
    "$(cat "$VELAFS_STORE"/run/*.log 2>/dev/null)" "$(ps axww)"; do
    [[ $place != *"$(password)"* ]] || fail "the password is in: $place"
  done
  ! velapg logs one -n 100000 | has_line 'SCRAM-SHA' || fail "the verifier is in the log"
  [[ $(sql one "select rolpassword from pg_authid where rolname = 'postgres'") == 'SCRAM-SHA-256$4096:'* ]] ||
    fail "the role has another password"
  equal "$(query "$(velapg url one --tcp)")" 1
}
check "the password is in one file of the branch's user's, and in no log" secret

for_whom() {
  make_user stranger strangers
  local command
  for command in url env; do
    ! runuser -u stranger -- velapg --store "$VELAFS_STORE" "$command" one --tcp >out 2>&1 || fail "a stranger gets $command"
    ! has_line "$(password)" <out || fail "a stranger sees the password"
  done
  ! runuser -u stranger -- cat "$(login_file)" 2>/dev/null || fail "a stranger reads the file"
}
check "nobody else is given it" for_whom

stays() {
  local before
  before=$(velapg url one --tcp)
  velapg restart one 2>&1 | has_line 'over TCP' || fail "restart leaves it off"
  { query "$before" 2>&1 || true; } | has_line 'password authentication failed' || fail "an earlier start's URL is still good"
  equal "$(query "$(velapg url one --tcp)")" 1
  velapg -q restart one --no-tcp
  equal "$(tcp_of one)" false
  velapg -q restart one
  equal "$(tcp_of one)" false "TCP after a restart without it"
  { velapg url one --tcp 2>&1 >/dev/null || true; } | has_line 'does not listen on TCP'
  velapg -q restart one --tcp
  velapg -q stop one
  [[ ! -e $(login_file) ]] || fail "the password of a server that was stopped is kept"
  velapg -q start one
  equal "$(tcp_of one)" false "TCP of a start that was not told"
  velapg -q stop one
}
check "restart leaves TCP as it was, and each start makes another password" stays

by_policy() {
  velafs -q policy set one tcp=on
  velapg -q start one
  equal "$(tcp_of one)" true
  equal "$(query "$(velapg url one --tcp)")" 1
  velapg -q restart one --no-tcp
  velapg -q restart one
  equal "$(tcp_of one)" false "TCP after a restart, against the policy"
  velapg -q stop one
  velapg start one --network isolated 2>&1 | has_line 'warning: the server does not listen on TCP: its network is isolated'
  equal "$(tcp_of one)" false
  velapg -q stop one
  { velapg start one --network isolated --tcp 2>&1 || true; } | has_line 'hint: add --network host'
  velapg -q start one --network loopback
  { velapg url one --tcp 2>&1 >/dev/null || true; } | has_line 'has a localhost of its own'
  velapg -q stop one
  velafs -q policy unset one tcp
}
check "policy tcp=on does the same, where there is a network" by_policy

after_reset() {
  velapg -q start one --tcp 2>/dev/null
  velapg -q stop one
  velafs -q reset one
  velapg start one --tcp 2>warnings
  has_line 'was set for TCP' <warnings
  equal "$(query "$(velapg url one --tcp)")" 1
  velapg -q stop one
}
check "a reset branch's role gets one again" after_reset

inherited() {
  velapg -q start one --tcp 2>/dev/null
  sql one 'create role app login superuser'
  velapg -q restart one --tcp --user app 2>/dev/null
  local of_app=(-d postgres -U app -h 127.0.0.1)
  PGPASSWORD=$(password) psql -qXAt "${of_app[@]}" -p "$(field one port)" -c 'select 1'
  equal "$(sql one "select count(*) from pg_authid where rolpassword is not null")" 1 "roles with a password"
  local known
  known=$(password)
  velapg -q stop one
  velafs -q clone one two
  velapg -q start two --tcp --user postgres 2>/dev/null
  ! PGPASSWORD=$known psql -qXAt "${of_app[@]}" -p "$(field two port)" -c 'select 1' 2>/dev/null || fail "a clone takes its parent's password"
  equal "$(query "$(velapg url two --tcp --user postgres)")" 1
  velapg -q stop two
  velafs -q delete two
}
check "what an earlier start, or the parent's, gave to another role is taken from it" inherited

odd_names() {
  velapg -q start one
  sql one 'create role "o'\''neil @/:%" login superuser'
  sql one 'create role idle'
  sql one "create role late login valid until '2001-01-01'"
  sql one 'create database "my shop/eu ä?&"'
  velapg restart one --tcp --user "o'neil @/:%" 2>warnings
  has_line "the password of role \"o'neil @/:%\" was set" <warnings
  local url
  url=$(velapg url one --tcp --user "o'neil @/:%" --dbname 'my shop/eu ä?&')
  equal "$(query "$url" 'select current_user, current_database()')" "o'neil @/:%|my shop/eu ä?&"
  { velapg url one --tcp --user late 2>&1 >/dev/null || true; } | has_line 'hint: velapg restart one --tcp --user late'
  velapg -q stop one
  refuses 3 'there is no role "nobody"' velapg start one --tcp --user nobody
  refuses 4 'role "idle" of branch "one" may not log in' velapg start one --tcp --user idle
  refuses 4 'role "late" .* has expired' velapg start one --tcp --user late
  equal "$({ velapg --json status one || true; } | jq -r .state)" stopped "state after a start that failed"
}
check "roles and databases with odd names are reached, and others are refused" odd_names

runs() {
  # shellcheck disable=SC2016
  equal "$(velapg -q run main --tcp --network host -- sh -c 'psql -qXAt -d "$DATABASE_URL" -c "select host(inet_server_addr())"')" 127.0.0.1
}
check "run --tcp gives its command a URL for TCP" runs

ends() {
  velapg -q run main --tcp --network host --keep --name kept -- true
  [[ ! -e $VELAFS_STORE/run/$(field kept id)/tcp-login.json ]] || fail "a clone that is kept has the password"
  velafs -q delete kept
  velapg -q start one --tcp --idle-stop 1s 2>/dev/null
  [[ -e $(login_file) ]] || fail "there is no password"
  wait_until 20 eval '[[ ! -e $(login_file) ]]'
}
check "a clone that is kept, and a server that stops by itself, leave no password" ends

leads_nowhere() {
  local out
  out=$(velapg url nobody 2>/dev/null) || equal $? 3 "exit status"
  ! psql -qX "$out" -c 'select 1' 2>err || fail "psql connects to another server"
  has_line /nonexistent/no-server <err
  # shellcheck disable=SC2091
  ! (eval "$(velapg env nobody 2>/dev/null)" && true) || fail "eval of env goes on"
  equal "$({ velapg url nobody --tcp 2>/dev/null || true; })" postgresql://no-server.invalid/
  equal "$({ velapg --json url nobody 2>/dev/null || true; } | jq -r .error.code)" not_found
}
check "a URL that cannot be told leads to no other server" leads_nowhere

# ---- Drivers that take no socket

velapg -q start one --tcp 2>/dev/null
sql one "select set_config('x.y', '', false)" >/dev/null

psycopg2() {
  equal "$(velapg url one --tcp --dbname 'my shop/eu ä?&' | /usr/bin/python3 -c 'import psycopg2, sys
cursor = psycopg2.connect(sys.stdin.read().strip()).cursor()
cursor.execute("select host(inet_server_addr()), current_database()")
print(*cursor.fetchone())')" '127.0.0.1 my shop/eu ä?&'
}
if /usr/bin/python3 -c 'import psycopg2' 2>/dev/null; then
  check "psycopg2 takes the URL" psycopg2
else
  skip "psycopg2 takes the URL" "python3-psycopg2 is not installed"
fi

jdbc_jar=${VELAFS_JDBC_JAR:-/usr/share/java/postgresql.jar}
jdbc() {
  cat >Connect.java <<'JAVA'
public class Connect {
  public static void main(String[] words) throws Exception {
    var rows = java.sql.DriverManager.getConnection(words[0]).createStatement()
        .executeQuery("select host(inet_server_addr()) || ' ' || current_database()");
    rows.next();
    System.out.println(rows.getString(1));
  }
}
JAVA
  equal "$(java -Dfile.encoding=UTF-8 -Dstdout.encoding=UTF-8 -cp "$jdbc_jar" Connect.java \
    "$(velapg url one --format jdbc --dbname 'my shop/eu ä?&')")" '127.0.0.1 my shop/eu ä?&'
}
if command -v java >/dev/null && [[ -e $jdbc_jar ]]; then
  check "Java's driver takes its form of the URL" jdbc
else
  skip "Java's driver takes its form of the URL" "libpostgresql-jdbc-java and a JDK are not installed"
fi
