# Starts the servers that a demonstration needs, and stops them when its script ends, however it ends.
# Other scripts source this file after `cd` to the repository. It sets `work`, a folder for logs and
# pipes that is removed at the end.
# shellcheck shell=bash

work=$(mktemp -d "${TMPDIR:-/tmp}/clerk-sync.XXXXXX")
started=()

stop_everything() {
  local status=$? process
  trap - EXIT INT TERM
  for process in "${started[@]+"${started[@]}"}"; do
    kill "$process" 2>/dev/null || true
  done
  for process in "${started[@]+"${started[@]}"}"; do
    wait "$process" 2>/dev/null || true
  done
  rm -rf "$work"
  exit "$status"
}
trap stop_everything EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Put this before a command to start it with only those environment variables that any program needs.
# Settings or AWS credentials that happen to be exported must not reach a demonstration.
in_clean_environment=(
  env -i PATH="$PATH" HOME="${HOME:-/}" TERM="${TERM:-dumb}" LANG="${LANG:-C.UTF-8}"
)

# start NAME COMMAND...: starts a server in the background and writes its output to $work/NAME.log. The
# command must be a program: a function would run in another shell between this one and the server.
start() {
  local name=$1
  shift
  "$@" >"$work/$name.log" 2>&1 </dev/null &
  started+=("$!")
}

# url_of NAME: waits until the log of the last started server contains the address it listens on, and puts
# the address into `url`. Waits for two minutes at most, or until the server ends.
url_of() {
  local name=$1 attempt
  for ((attempt = 0; attempt < 2400; attempt++)); do
    url=$(grep -Eo -m1 'http://127\.0\.0\.1:[0-9]+' "$work/$name.log" | head -n 1) && [ -n "$url" ] && return
    kill -0 "${started[${#started[@]} - 1]}" 2>/dev/null || break
    sleep 0.05
  done
  echo "$name did not start; its log:" >&2
  cat "$work/$name.log" >&2
  exit 1
}

# build: builds both programs in the profile and with the features of `make test`, so that nothing is built
# twice. (There are no examples, but with `--examples` cargo selects the features that tests need from the
# dependencies.) With PROGRAMS=folder it takes the programs in that folder instead.
build() {
  programs=${PROGRAMS:-}
  [ -z "$programs" ] || return 0
  programs=${CARGO_TARGET_DIR:-target}/debug
  [ -x "$programs/clerk-sync" ] || echo "Building; the first time, this takes a few minutes." >&2
  cargo build --workspace --bins --examples --locked --quiet
}

# The secret key that the sandbox accepts.
sandbox_key=sk_test_sandbox

# start_sandbox [OPTION...]: starts a synthetic Clerk of the usual size (3,000 users, 200 organizations, 6,000
# memberships), and puts its address into `clerk_url`. Passes the options to clerk-sandbox. The examples in events/
# and in the docs name its rows.
start_sandbox() {
  start sandbox "$programs/clerk-sandbox" --address 127.0.0.1:0 --key "$sandbox_key" "$@"
  url_of sandbox
  clerk_url=$url
}

# All resources of this version.
all_resources=users,organizations,organization_roles,organization_permissions,organization_memberships
