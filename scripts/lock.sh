#!/usr/bin/env bash
# Writes requirements.lock from pyproject.toml, for every platform and every Python from 3.11 on, with hashes.
# uv is the one tool that resolves for all of them at once; it is not needed for anything else, so it is not locked.
set -euo pipefail
cd "$(dirname "$0")/.."
python="$1"
"$python" -m uv --version >/dev/null 2>&1 || "$python" -m pip --disable-pip-version-check install --quiet uv
lock="$(mktemp)"
trap 'rm -f "$lock"' EXIT
# What is locked stays as long as pyproject.toml allows it: `make lock UPGRADE=1` takes the newest of everything.
if [ -z "${UPGRADE:-}" ]; then
    cp requirements.lock "$lock"
fi
"$python" -m uv pip compile pyproject.toml --quiet --extra s3 --group dev --universal --python-version 3.11 \
    --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links --output-file "$lock"
{
    echo "# Everything that is installed, with hashes. Written by \`make lock\` from pyproject.toml; do not edit."
    cat "$lock"
} >requirements.lock
