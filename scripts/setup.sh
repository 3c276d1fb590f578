#!/usr/bin/env bash
# Make this checkout ready: `scripts/setup.sh run` for the demo, `scripts/setup.sh dev` for tests
# and measurements. Run it as often as you like: a stamp of what was installed makes it quick.
set -euo pipefail
cd "$(dirname "$0")/.."

level="${1:-dev}"
case "$level" in
    run) suffix="" ;;
    dev) suffix="-dev" ;;
    *) echo "usage: scripts/setup.sh run|dev" >&2; exit 2 ;;
esac
lock="requirements$suffix.lock"

# Two of us at once in one checkout would tread on each other's files.
exec 9<scripts/setup.sh
flock 9

venv=.venv
setup_lock=requirements-setup.lock

say() { echo "setup: $*" >&2; }

# --- Packages of the operating system --------------------------------------------------------

as_root() {
    if [[ "$(id -u)" -eq 0 ]]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

may_install() {
    command -v apt-get >/dev/null || return 1
    [[ "$(id -u)" -eq 0 ]] && return 0
    command -v sudo >/dev/null && sudo -n true 2>/dev/null
}

refresh_package_lists() {
    [[ -n "${lists_are_fresh:-}" ]] || as_root apt-get update -qq </dev/null
    lists_are_fresh=yes
}

install_packages() {
    if ! may_install; then
        say "missing on this machine: $*. Please run:"
        say "    sudo apt-get update && sudo apt-get install --no-install-recommends -y $*"
        exit 1
    fi
    say "installing $*"
    refresh_package_lists
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 "$@" \
        </dev/null >/dev/null
}

# wrk makes the load, fuser (psmisc) finds who holds a port, strace lets a test see fsync fail,
# systemd-analyze reads our unit, chromium opens the payer's page, hledger adds up our books.
install_tools() {
    local missing=()
    command -v wrk >/dev/null || missing+=(wrk)
    command -v strace >/dev/null || missing+=(strace)
    command -v fuser >/dev/null || missing+=(psmisc)
    command -v systemd-analyze >/dev/null || missing+=(systemd)
    command -v chromium >/dev/null || missing+=(chromium)
    command -v hledger >/dev/null || missing+=(hledger)
    [[ "${#missing[@]}" -eq 0 ]] || install_packages "${missing[@]}"
}

has_program() {
    command -v "$1" >/dev/null || [[ -x "$venv/bin/$1" ]]
}

# promtool judges our metrics, prometheus our alerts. Only the two programs are taken out of their
# package: installing it would start a Prometheus server on this machine.
install_prometheus() {
    if has_program promtool && has_program prometheus; then return; fi
    if ! command -v apt-get >/dev/null; then
        say "missing on this machine: prometheus and promtool. Put them on the PATH."
        exit 1
    fi
    say "fetching prometheus and promtool"
    if may_install; then refresh_package_lists; fi
    local target="$PWD/$venv" folder
    folder="$(mktemp -d)"
    (
        cd "$folder"
        # Downloading needs no root; apt warns when its own user cannot enter the folder.
        apt-get download -qq prometheus </dev/null 2>/dev/null
        dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool ./usr/bin/prometheus
        mv usr/bin/promtool usr/bin/prometheus "$target/bin/"
    ) || {
        rm -rf "$folder"
        say "could not fetch prometheus. Please run: sudo apt-get update, then this again"
        exit 1
    }
    rm -rf "$folder"
}

# --- Python ----------------------------------------------------------------------------------

new_enough() {
    command -v "$1" >/dev/null &&
        "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    local candidate
    for candidate in "${PYTHON:-python3.11}" python3 python3.13 python3.12; do
        if new_enough "$candidate"; then echo "$candidate"; return; fi
    done
    install_packages python3 python3-venv
    echo python3
}

make_venv() {
    local python
    if [[ -x "$venv/bin/python" ]] && "$venv/bin/python" -c 'import pip' 2>/dev/null; then return; fi
    python="$(find_python)"
    # Debian ships venv without ensurepip until python3-venv is there.
    "$python" -c 'import ensurepip, venv' 2>/dev/null || install_packages python3-venv
    say "making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
}

pip_install() {
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@" >&2
}

# uv installs in seconds what takes pip a minute. It reads none of pip's settings, so on a machine
# where only pip knows the way to the packages it fails, and pip does the work.
install_locked() {
    say "installing $lock"
    # Compiled now, each of the gateway's processes starts a second sooner, for ever.
    if UV_SYSTEM_CERTS=1 UV_HTTP_TIMEOUT=30 "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" \
        --compile-bytecode --require-hashes -r "$lock" </dev/null; then
        return
    fi
    say "trying again with pip"
    pip_install --require-hashes -r "$lock"
}

# A stamp says what was installed for a level: the checksum of all that decides it.
stamp_of() {
    cat pyproject.toml "$setup_lock" "requirements$2.lock" scripts/setup.sh | sha256sum
}

is_installed() {
    [[ -f "$venv/.stamp-$1" && "$(cat "$venv/.stamp-$1")" == "$(stamp_of "$1" "$2")" ]]
}

install_python_packages() {
    # Whoever has all that development needs also has what the demo needs.
    if is_installed dev -dev; then return; fi
    if [[ "$level" == run ]] && is_installed run ""; then return; fi
    rm -f "$venv"/.stamp-*
    pip_install --require-hashes -r "$setup_lock"
    install_locked
    pip_install --no-deps --no-build-isolation --editable .
    "$venv/bin/python" -m compileall -q gateway actors payments load_tests >&2
    stamp_of "$level" "$suffix" >"$venv/.stamp-$level"
}

make_venv
install_python_packages
if [[ "$level" == dev ]]; then
    install_tools
    install_prometheus
fi
