#!/bin/sh
# Makes the secrets of compose.yaml, once; files that are there stay. Each belongs to the user that reads it in
# its container, so this runs as root: sudo deploy/compose/secrets.sh [FOLDER]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/secrets}
[ "$(id -u)" = 0 ] || { echo "secrets.sh: not root; run: sudo $0" >&2; exit 2; }
umask 077
mkdir -p "$folder"
chmod 711 "$folder"

random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

# put NAME OWNER:GROUP MODE TEXT
put() {
    if [ -e "$folder/$1" ]; then return; fi
    printf '%s' "$4" > "$folder/.$1.new"
    chown "$2" "$folder/.$1.new"
    chmod "$3" "$folder/.$1.new"
    mv "$folder/.$1.new" "$folder/$1"
}

# text NAME: what the file holds already, else something new
text() { if [ -e "$folder/$1" ]; then cat "$folder/$1"; else random; fi; }

# Seawall is 10001, Elasticsearch 1000, Grafana 472, Alertmanager's group 65534; PostgreSQL and the registry read as root.
postgres=$(text postgres)
put postgres 0:0 400 "$postgres"
put seawall-postgres 10001:10001 400 "$postgres"
elastic=$(text elastic)
put elastic 1000:0 400 "$elastic"
put seawall-elasticsearch 10001:10001 400 "$elastic"
put grafana-elasticsearch 472:0 400 "$elastic"
put grafana-admin 472:0 400 "$(random)"
put alertmanager-token 10001:65534 440 "$(random)"
put distribution-token 10001:10001 400 "$(random)"
token=$(cat "$folder/distribution-token")
put registry-config 0:0 400 "$(sed "s/@DISTRIBUTION_TOKEN@/$token/" "$here/registry.yml.in")"
echo "secrets are in $folder"
