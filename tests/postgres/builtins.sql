-- Prints adapters/lido/postgres/detail/sql/builtins.hpp, from the catalog of PostgreSQL 15:
--   psql -XAtqf tests/postgres/builtins.sql >adapters/lido/postgres/detail/sql/builtins.hpp
-- A test runs it again (tests/postgres/builtins_test.cpp) and finds what has changed.
with settings as (
  select
    -- What may change rows, files and the server, but nothing that stays in the session; or what only looks volatile.
    'brin_desummarize_range brin_summarize_new_values brin_summarize_range clock_timestamp current_query currval '
    'gen_random_uuid gin_clean_pending_list lastval lo_close lo_creat lo_create lo_export lo_from_bytea lo_get '
    'lo_import lo_lseek lo_lseek64 lo_open lo_put lo_tell lo_tell64 lo_truncate lo_truncate64 lo_unlink loread lowrite '
    'pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_blocking_pids pg_cancel_backend '
    'pg_collation_actual_version pg_create_restore_point pg_current_logfile pg_current_wal_flush_lsn '
    'pg_current_wal_insert_lsn pg_current_wal_lsn pg_database_collation_actual_version pg_database_size '
    'pg_export_snapshot pg_indexes_size pg_is_in_recovery pg_is_wal_replay_paused pg_jit_available '
    'pg_last_committed_xact pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp '
    'pg_lock_status pg_logical_emit_message pg_ls_dir pg_ls_logdir pg_ls_waldir pg_notification_queue_usage pg_notify '
    'pg_partition_ancestors pg_partition_tree pg_prepared_xact pg_read_binary_file pg_read_file pg_relation_size '
    'pg_reload_conf pg_safe_snapshot_blocking_pids pg_sequence_last_value pg_sleep pg_sleep_for pg_sleep_until '
    'pg_stat_file pg_stat_reset pg_switch_wal pg_table_size pg_tablespace_size pg_terminate_backend '
    'pg_total_relation_size pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared pg_xact_commit_timestamp '
    'pg_xact_status random timeofday txid_status' as harmless_though_volatile,
    -- Of what is left out nothing would be called by a statement: the bodies of operators, what indexes and types are
    -- made of, what only views ask.
    '^implementation of|^I/O|^hash$|^less-equal-greater$|^sort support$|typmod|^internal|^\(internal\)' as internals,
    '^pg_stat_get_|^binary_upgrade_|_validator$|_support$|(sel|joinsel|_ops)$' as internal_names
), functions as (
  select proname,
    bool_and(provolatile <> 'v' or proname = any (string_to_array(harmless_though_volatile, ' '))) as harmless,
    bool_or(
      coalesce(obj_description(pg_proc.oid, 'pg_proc'), '') !~ internals and proname !~ internal_names
      and not exists (
        select from unnest(proargtypes::oid[] || prorettype::oid) as type
        where type = any ('{internal,cstring,trigger,event_trigger,language_handler,fdw_handler,index_am_handler,'
                          'table_am_handler,tsm_handler}'::regtype[]))) as called
  from pg_proc, settings
  where pronamespace = 'pg_catalog'::regnamespace and prokind in ('f', 'a', 'w') and proname ~ '^[a-z0-9_]+$'
  group by proname
), lists(number, name, comment, words) as (
  select 1, 'harmless_functions', 'Functions, aggregates and window functions that change nothing in their session.',
    string_agg(proname, ' ' order by proname collate "C") from functions where harmless and called
  union all
  select 2, 'no_function_names', 'Keywords that are no function''s name, unless they are quoted or qualified.',
    string_agg(word, ' ' order by word collate "C") from pg_get_keywords() where catcode in ('R', 'C')
  union all
  select 3, 'operator_keywords', 'Keywords that are a function''s name or an operator''s.',
    string_agg(word, ' ' order by word collate "C") from pg_get_keywords() where catcode = 'T'
  union all
  select 4, 'unreserved_keywords', 'Keywords that may be any name.',
    string_agg(word, ' ' order by word collate "C") from pg_get_keywords() where catcode = 'U'
)
select '// PostgreSQL''s own functions and keywords, in lists of sorted words with one space between. Made by
// tests/postgres/builtins.sql on PostgreSQL ' || current_setting('server_version_num')::int / 10000
  || E'; not to be edited.\n#pragma once\n\n#include <string_view>\n\nnamespace lido::postgres::detail {\n\n'
  || string_agg(
    format(E'// %s\ninline constexpr std::string_view %s =\n', comment, name)
      || regexp_replace(regexp_replace(words || ' ', '(.{1,111}) ', E'    "\\1 "\n', 'g'), ' "\n$', E'";\n'),
    E'\n' order by number)
  || E'\n}  // namespace lido::postgres::detail'
from lists;
