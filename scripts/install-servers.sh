#!/usr/bin/env bash
# Installs what the tests start for themselves: PostgreSQL, of any version from 14 on, and Chromium.
# Nothing is left running for it; the tests make a cluster of their own in a temporary folder.
set -euo pipefail

has_postgresql() {
    command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}

has_chromium() {
    command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null
}

wanted=()
has_postgresql || wanted+=(postgresql)
has_chromium || wanted+=(chromium)
if [ "${#wanted[@]}" -eq 0 ]; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "The tests need ${wanted[*]}. Install the packages of that name, then try again." >&2
    exit 1
fi
echo "Installing ${wanted[*]}"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
has_postgresql
has_chromium
