-- The role and the database of the stacks, made once. The role reads all statistics: the harness counts with them.
\getenv user POSTGRES_USER
\getenv password POSTGRES_PASSWORD
\getenv database POSTGRES_DB
CREATE ROLE :"user" LOGIN PASSWORD :'password' IN ROLE pg_read_all_stats;
CREATE DATABASE :"database" OWNER :"user";
\connect :"database"
CREATE EXTENSION pg_stat_statements;
SET SESSION AUTHORIZATION :"user";
\ir schema.sql
\ir seed.sql
