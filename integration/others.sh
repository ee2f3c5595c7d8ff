# A store of root's with two others on it: www-data, a user with the branch "mine", and nobody, who has no
# role. The data is postgres's, whose branch is "one". Sourced after `begin`.
# shellcheck shell=bash

as() { # as USER COMMAND...
  runuser -u "$1" -- "${@:2}"
}
port_of() { velapg --json status "$1" | jq .port; }
pid_of() { velapg --json status "$1" | jq .pid; }
on_terminal() { # on_terminal COMMAND: what a user at a terminal sees; standard input is typed
  script --quiet --return --command "$1" /dev/null | stdbuf --output=0 tr -d '\r'
}

make_store 0
velafs -q bookmark create main@nightly
velafs -q approve main@nightly
velafs -q policy set --of-store user_group=www-data network=host
velafs -q clone main one
as www-data velafs -q clone main@nightly mine
mine=$mount_dir/mine
