#!/usr/bin/env bash
# Installs what the tests start for themselves: PostgreSQL (any version from 14 on), Chromium, Swift (an S3 server), and
# the programs that buyers download and unpack with. For `make bench` there are nginx and wrk.
# Nothing is left running for it; the tests make a cluster of their own in a temporary folder.
set -euo pipefail

# What must be there, and the package of Debian and Ubuntu that brings it.
declare -A packages=(
    [postgresql]=postgresql [chromium]=chromium [unzip]=unzip [7z]=p7zip-full [curl]=curl [wget]=wget [aria2c]=aria2
    [nginx]=nginx [wrk]=wrk [swift]=python3-swift
)

is_there() {
    case "$1" in
        postgresql) command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null ;;
        chromium) command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ;;
        nginx) command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] ;;
        swift) [ -d /usr/lib/python3/dist-packages/swift ] ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

missing() {
    for name in "${!packages[@]}"; do
        is_there "$name" || echo "${packages[$name]}"
    done | sort
}

mapfile -t wanted < <(missing)
if [ "${#wanted[@]}" -eq 0 ]; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "The tests need ${wanted[*]}. Install the packages of that name, then try again." >&2
    exit 1
fi
echo "Installing ${wanted[*]}"
apt-get update -qq
# An nginx of the package's own would take port 80.
DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
mapfile -t wanted < <(missing)
if [ "${#wanted[@]}" -ne 0 ]; then
    echo "Still missing after the installation: ${wanted[*]}." >&2
    exit 1
fi
