# Rows of bench.sh that are what people do with a copy: fill a database, rewrite a table, try a migration, run tests.
# shellcheck shell=bash

# A dump in custom format, not compressed, of four tables with two indexes each and a foreign key: 6 MB for each unit of
# scale, up to 300 MB. The server that makes it is on a cluster of its own.
prepare_group_restore() {
  local rows_each=$(((scale < 50 ? scale : 50) * 12000)) source=$VELAFS_SANDBOX/ext4/dumped table
  dump=$VELAFS_SANDBOX/ext4/dump
  make_cluster "$source" 0
  host_start "$source" -c fsync=off
  for table in 1 2 3 4; do
    PGHOST=$source.run as_postgres psql -qX -v ON_ERROR_STOP=1 -c "create table orders$table as select id, id % 5000 as customer,
        md5(id::text) || md5((id + $table)::text) as note, now() - id * interval '1 s' as created
        from generate_series(1, $rows_each) id;
      alter table orders$table add primary key (id);
      create index on orders$table (customer, created);
      alter table orders$table add foreign key (id) references orders1"
  done
  install -o postgres -m 644 /dev/null "$dump"
  PGHOST=$source.run as_postgres pg_dump --format custom --compress 0 --file "$dump" postgres
  host_stop "$source"
  host_servers=()
  rm -rf "$source" "$source.run"
}
measure_restore() {
  query 'create database restored'
  query checkpoint
  timed 'pg_restore, 2 jobs' at_server pg_restore --jobs 2 --dbname restored "$dump"
}

measure_init() {
  query 'create database filled'
  query checkpoint
  timed 'pgbench -i' at_server pgbench --initialize --quiet --scale "$scale" filled 2>pgbench.log
}

measure_full() {
  timed 'VACUUM FULL' query 'vacuum full pgbench_accounts'
}

# In batches, so that no transaction locks many rows for long.
migrate() {
  local batch last=$((scale * 100000)) step=$((scale * 10000))
  query 'alter table pgbench_accounts add column region int'
  for ((batch = 1; batch <= last; batch += step)); do
    query "update pgbench_accounts set region = aid % 100 where aid >= $batch and aid < $((batch + step))"
  done
  query 'create index concurrently on pgbench_accounts (region)'
}
measure_migration() {
  timed 'ADD COLUMN, backfill, CREATE INDEX' migrate
}

prepare_group_suite() {
  cat >"$VELAFS_SANDBOX/suite.sql" <<'END'
begin;
insert into people values (1, 'Ada'), (2, 'Grace'), (3, 'Edsger');
insert into entries select i, 1 + i % 3, 'entry ' || i from generate_series(1, 10) i;
update people set name = upper(name) where id = 2;
select p.name, count(*) from entries e join people p on p.id = e.person group by 1;
commit;
truncate people, entries;
END
}
measure_suite() {
  query 'create table people (id int primary key, name text not null)'
  query 'create table entries (id int primary key, person int references people, body text); create index on entries (person)'
  query checkpoint
  timed '1000 transactions with TRUNCATE between' at_server pgbench --no-vacuum --transactions 1000 \
    --file "$VELAFS_SANDBOX/suite.sql" 2>pgbench.log
}
