#!/usr/bin/env bash
# Brings what the bench needs, then runs it: `bash bench/run.sh [--quick] [--only sqlite|postgresql|latency]`.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
bench="$root/bench"
venv="$root/.venv-bench"
python="${PYTHON:-$root/.venv/bin/python}"

[ -x "$root/.venv/bin/carryout" ] || { echo "bench: .venv/bin/carryout is missing; run 'make install' first" >&2; exit 1; }
[ "$(nproc)" -ge 2 ] || { echo "bench: two cores are needed, one for the server and one for the load" >&2; exit 1; }

# The typical implementation's packages never enter Carryout's own environment.
if ! cmp -s "$bench/requirements.txt" "$venv/installed.txt"; then
  "$python" -m venv --clear "$venv"
  echo '*' > "$venv/.gitignore"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$bench/requirements.txt"
  cp "$bench/requirements.txt" "$venv/installed.txt"
fi

PATH="$PATH:/usr/sbin"
missing=()
for program in nginx wrk; do
  command -v "$program" > /dev/null || missing+=("$program")
done
if [ "${#missing[@]}" -gt 0 ]; then
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get > /dev/null; then
    echo "bench: ${missing[*]} missing; install with: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  apt-get update -qq
  # RUNLEVEL=1: Debian's packages would start their service otherwise.
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "${missing[@]}" > /dev/null
fi

exec "$venv/bin/python" "$bench/run.py" "$@"
