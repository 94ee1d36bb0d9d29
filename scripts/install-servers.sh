#!/usr/bin/env bash
# Installs the servers that the tests start for themselves: PostgreSQL, of any version from 14 on.
# Nothing is left running for it; the tests make a cluster of their own in a temporary folder.
set -euo pipefail

has_postgresql() {
    command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}

if has_postgresql; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "The tests need the PostgreSQL server (initdb and postgres). Install the package postgresql, then try again." >&2
    exit 1
fi
echo "Installing PostgreSQL"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null
has_postgresql
