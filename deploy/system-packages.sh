#!/bin/sh
# Installs the Debian packages of the given lists where they are missing, if it may; says what to do if not.
# A missing package is not fatal: the demo falls back to a plain process, tests say what they skip.
set -eu
wanted=$(cat "$@" | sed 's/#.*//' | tr -s ' \n' '  ')
if ! command -v dpkg-query >/dev/null; then
    echo "not a Debian or Ubuntu machine: have these ready by other means: $wanted"
    exit 0
fi
missing=""
for package in $wanted; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
command="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ]; then sudo=""
elif sudo -n true 2>/dev/null; then sudo="sudo -n"
else
    echo "missing Debian packages, and no right to install them; as root, run: $command"
    exit 0
fi
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq || echo "apt-get update failed; trying with the lists at hand"
$sudo $command -qq >/dev/null || echo "could not install them; run: $command"
