#!/usr/bin/env bash
# Makes a virtual environment with exactly what requirements.lock names, and the program itself, editable, in it.
# The Python is $PYTHON if set, else python3 if it is new enough, else the newest of python3.14 to python3.11.
set -euo pipefail
cd "$(dirname "$0")/.."
venv="${1:-.venv}"

fail() {
    echo "$*" >&2
    exit 1
}

is_new_enough() {
    command -v "$1" >/dev/null && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    local name
    for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if is_new_enough "$name"; then
            echo "$name"
            return
        fi
    done
    local found
    found="$("${PYTHON:-python3}" --version 2>&1)" || found="no ${PYTHON:-python3}"
    fail "Carryout needs Python 3.11 or later, but this machine has $found. Install a newer one, or name it: make install PYTHON=/path/to/python3"
}

# Debian and Ubuntu keep ensurepip in a package of its own.
require_venv() {
    if "$1" -c 'import ensurepip, venv' 2>/dev/null; then
        return
    fi
    local package
    package="$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        fail "This Python cannot make a virtual environment. Install the package python3-venv (or $package), then try again."
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
}

python="$(find_python)"
require_venv "$python"
echo "Installing into $venv with $("$python" --version)"
# A virtual environment of another or a removed Python is made anew; else what is there is brought up to date.
if ! [ -x "$venv/bin/python" ] || [ "$("$venv/bin/python" --version 2>&1)" != "$("$python" --version)" ]; then
    "$python" -m venv --clear "$venv"
fi
pip=("$venv/bin/python" -m pip --disable-pip-version-check)
"${pip[@]}" install --quiet --require-hashes -r requirements.lock
"${pip[@]}" install --quiet --no-deps --no-build-isolation --editable .
