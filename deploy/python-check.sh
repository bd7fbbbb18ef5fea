#!/bin/sh
# Is this Python new enough, and can it make virtual environments?
set -eu
python=$1
command -v "$python" >/dev/null || { echo "no $python here; install Python 3.11 or newer, or: make setup PYTHON=/path/to/python3"; exit 2; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "$("$python" --version) is too old; Seawall needs 3.11 or newer: make setup PYTHON=python3.12"; exit 2; }
"$python" -c 'import ensurepip, venv' 2>/dev/null || {
    echo "$python cannot make virtual environments; on Debian and Ubuntu: apt-get install -y python3-venv"; exit 2; }
