# Makes the databases `aggregator` and `registry` of the user `pilot`, and the user `stranger`, who may log in; serves them.
set -e
PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
export PGDATA=/data/postgres PGHOST=/tmp

if [ ! -d "$PGDATA" ]; then
  initdb --auth-local=trust --auth-host=scram-sha-256 --username=postgres --encoding=UTF8 --no-sync >/dev/null
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  pg_ctl --silent --wait --options="-c listen_addresses='' -k /tmp" start
  psql --quiet --username=postgres <<SQL
CREATE ROLE pilot LOGIN PASSWORD '$PASSWORD';
CREATE ROLE stranger LOGIN PASSWORD '$PASSWORD';
CREATE DATABASE aggregator OWNER pilot;
CREATE DATABASE registry OWNER pilot;
SQL
  pg_ctl --silent --wait stop
fi
exec postgres -c listen_addresses='*' -k /tmp -c fsync=off -c jit=off
