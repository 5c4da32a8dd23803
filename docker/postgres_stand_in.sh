#!/bin/sh
# Does with compose.yaml what the official image of PostgreSQL does with it, but on Debian's server:
# a new volume is given a password and the scripts of its folder, then the command runs.
set -eu
cd /
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
export PATH PGDATA=/var/lib/postgresql/data
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  echo "$POSTGRES_PASSWORD" >/tmp/password
  initdb --auth-host=scram-sha-256 --auth-local=trust --encoding=UTF8 --locale=C \
    --username=postgres --pwfile=/tmp/password
  rm /tmp/password
  pg_ctl -w -o "-c listen_addresses=''" start
  for script in /docker-entrypoint-initdb.d/*.sql; do
    psql --no-psqlrc --set ON_ERROR_STOP=1 --username postgres --file "$script"
  done
  pg_ctl -w -m fast stop
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
fi
exec "$@"
