#include <time.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/detail/connect/connection_string.hpp>
#include <lido/postgres/detail/sql/redact.hpp>
#include <lido/postgres/detail/sql/session_state.hpp>
#include <lido/postgres/detail/wire/diagnose.hpp>
#include <support/slow.hpp>

using namespace lido::postgres::detail;

namespace {

// Texts that hold what makes a scanner look far ahead, again and again, and the word.
std::string hostile(std::string_view unit, std::size_t size, std::string_view before = "", bool numbered = false) {
  std::string text{before};
  for (std::size_t i = 0; text.size() < size; ++i) {
    for (const char c : unit) c == '#' && numbered ? text += std::to_string(i) : text += c;
  }
  return text += " password";
}
std::array<std::string, 23> hostile_texts(std::size_t size) {
  return {hostile("$a#$ ", size, " ", true),
          hostile("$a#$ password ", size, "$$ ", true),
          hostile("$a ", size),
          hostile("$", size),
          hostile("$aaaaaaaa", size, "$aaaaaaaaa$"),
          hostile("/* ", size),
          hostile("/*/", size, "/* "),
          hostile("'a'\n--", size),
          hostile("'a' \n ", size),
          hostile("e'\\", size),
          hostile("'password'", size),
          hostile("\"password\" ", size),
          hostile("password ", size),
          hostile("password = ", size),
          hostile("password =x'", size),
          hostile("password = $a$", size),
          hostile("password)=(", size),
          hostile("'password=a&", size),
          hostile("'password=\\\\", size),
          hostile("'password\"\\", size),
          hostile("\"password\" to ", size),
          hostile("(", size, "select "),
          hostile("\xff[", size)};
}

// How long `action` kept the processor busy; what others do meanwhile does not count.
template <class Action>
std::chrono::nanoseconds busy(const Action& action) {
  const auto now = [] {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
  };
  const auto start = now();
  action();
  return now() - start;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(statement)

BOOST_AUTO_TEST_CASE(plain_reads_and_writes_leave_no_state) {
  const char* const harmless[] = {
      "",
      ";",
      "select 1",
      "SELECT name FROM users WHERE id IN ($1, $2) AND lower(name) = $3",
      "insert into users(name) values ($1) returning id",
      "insert into public . users (name, age) values ('set_config(', 3) on conflict (name) do update set (age) = (4)",
      "insert into \"Users\" (name) values ($1)",
      "update users set name = $1 where (id = 3) or (id = 4)",
      "with old as (delete from users returning *) select count(*) from old",
      "select 'it''s; set role x' -- set role x\n, $$ set role x $$, $tag$ listen x $tag$ /* set /* role */ x */",
      "select \"set\" from \"listen\"",
      "begin; savepoint a; rollback to a; commit",
      "(select 1) union (select 2)",
      "select e'\\'; set role x'",
      "select'set role x', interval'1 day', n'a', b'1', x'f', u&'a' from users where name in('a')",
      "select 1 -- set role x",
      "select 1 -- set role x\r, 2",
      "select count(*) from temperatures",
      "explain (analyze) select 1",
      "copy users(id, name) from stdin (format csv, force_null (name))",
      "copy (select count(*) from users) to stdout with (header)",
      "notify news, 'set role x'",
      "select pg_notify($1, $2)",
      "begin; SET /* for now */ LOCAL role x; set constraints all deferred; set transaction read only",
      "lock table users; truncate users; notify news; select pg_notify('news', 'x')",
  };
  for (const char* sql : harmless) BOOST_TEST_CONTEXT(sql) BOOST_TEST(!may_leave_state(sql));
}

BOOST_AUTO_TEST_CASE(everything_else_may_leave_state) {
  const char* const leaves[] = {
      "set role x",
      "set session role x",
      "set session characteristics as transaction read only",
      "set local.role = 'x'; set \"local\" = x; set",
      "set local role x; set role x",
      "  /* why */ SET search_path = x",
      "select 1; set role x",
      "begin; listen news",
      "create temp table x(id int)",
      "select 1 into temp x",
      "select 1 into pg_temp.x",
      "select set_config('a.b', 'c', false)",
      "select pg_advisory_lock(1)",
      "select pg_advisory_lock (1)",
      "select pg_advisory_lock /* */ (1)",
      "select my_function()",
      "select my_schema.count(1)",
      "select \"set_config\"('a.b', 'c', false)",
      "select pg_catalog.\"set_config\"('a.b', 'c', false)",
      "prepare x as select 1",
      "declare x cursor with hold for select 1",
      "load 'x'",
      "do $$ begin end $$",
      "call x()",
      "values (set_config('a.b', 'c', false))",
      "insert into users values (set_config('a.b', 'c', false))",
      "insert into users(name) select nextval('x')",
      "select 'a\\'; set role x --'",
      "discard all",
      "do'begin perform set_config(''a.b'', ''c'', false); end'",
      "select 1; do'begin end'",
      "do/**/'begin end'",
      "-- a comment\rset role x",
      "select 1 -- a comment\r, set_config('a.b', 'c', false)",
  };
  for (const char* sql : leaves) BOOST_TEST_CONTEXT(sql) BOOST_TEST(may_leave_state(sql));
}

BOOST_AUTO_TEST_CASE(what_can_prepare_statements_is_told_from_what_cannot) {
  for (const char* sql : {"set role x", "listen news", "create temp table t as select 1", "select pg_advisory_lock(1)",
                          "declare x cursor with hold for select 1", "select 1; reset all", "unlisten *",
                          "select my_function()", "listen x; select my_schema.count(1)",
                          "copy (select my_function()) to stdout", "create table t as select \"f\"(1)"})
    BOOST_TEST_CONTEXT(sql) BOOST_TEST((leaves_behind(sql) == Leaves::state));
  for (const char* sql : {"prepare x as select 1", "do $$ begin end $$", "do'begin end'", "call x()", "execute x",
                          "explain analyze execute x", "explain (analyze, verbose) execute x",
                          "set role x; prepare y as select 1", "select 'a\\'; select '"})
    BOOST_TEST_CONTEXT(sql) BOOST_TEST((leaves_behind(sql) == Leaves::statements));
}

BOOST_AUTO_TEST_CASE(what_stays_until_the_session_ends_is_told_from_what_is_discarded) {
  for (const char* sql :
       {"select pg_replication_origin_session_setup('o')", "SELECT * FROM PG_BACKUP_START('x', true)",
        "select pg_start_backup('x', true, false)", "select pg_catalog.pg_backup_start('x')",
        "select \"pg_backup_start\"('x')", "select pg_catalog.\"pg_backup_start\" ('x')",
        "select slot_name from pg_create_physical_replication_slot('s', temporary => true)",
        "select pg_create_logical_replication_slot('s', 'test_decoding', true)",
        "select pg_copy_physical_replication_slot('s', 't', true)",
        "select pg_copy_logical_replication_slot('s', 't', true)", "do $$ begin end $$; select pg_backup_start('x')",
        "select pg_backup_start('x'); do $$ begin end $$", "set role x; select pg_backup_start('x'); reset all",
        "select pg_backup_start('x'), 'a\\'; select '"})
    BOOST_TEST_CONTEXT(sql) BOOST_TEST((leaves_behind(sql) == Leaves::session));
  for (const char* sql :
       {"select 'pg_backup_start(1)'", "select pg_backup_start from t", "select 1 as pg_backup_start"})
    BOOST_TEST_CONTEXT(sql) BOOST_TEST((leaves_behind(sql) == Leaves::nothing));
}

BOOST_AUTO_TEST_CASE(reading_and_writing_with_the_servers_own_functions_leaves_no_state) {
  for (const char* sql :
       {"select left(name, 1), right(name, 1), mod(a, 2), regexp_replace(name, 'a', 'b') from users",
        "select date_part('year', now()), encode(b, 'hex'), version(), to_tsvector(name), string_to_array(name, ',')",
        "select jsonb_array_elements(j), json_build_object('a', 1), pg_catalog.lower(name) from users",
        "select a::timestamp(3), cast(a as numeric(10, 2)), a::character varying(3), a::geometry(Point, 4326) from t",
        "with t(a, b) as (select 1, 2) select a from t",
        "with recursive t(n) as (values (1) union all select n + 1 from t where (n < 5)), u(m) as (select 1) table t",
        "with t(a) as not materialized (select 1) insert into x (a) select a from t",
        "insert into x (a) with t(a) as (select 1) select a from t returning (a)",
        "select * from unnest($1::int[], $2::text[]) as u(a, b)",
        "select * from unnest($1::int[]) with ordinality u(a, n)",
        "select * from unnest($1::int[]) u(a), generate_series(1, 3) \"G\"(i)",
        "select * from (values (1, 'a')) v(a, b) join (select 1) w(c) using (a) left join (select 2) x on (true)",
        "select u.\"id\" in (1, 2), u.name like ('a'), (a, b) overlaps (c, d), u.id ilike (b) from users as u",
        "select a, grouping(a) from t group by grouping sets ((a), ())",
        "select a from t group by rollup (a) order by (a) limit (1)",
        "select count(*) filter (where a > 1) over (partition by (b) order by (c)) from t",
        "select percentile_cont(0.5) within group (order by (a)) filter (where b) from t",
        "insert into t as x (a) values (1) on conflict (a) do update set (a) = row (excluded.a)",
        "update t set (a, b) = (select 1, 2) where (a) = (1)", "with x as (select 1) update t set (a) = row (1)",
        // NOLINTNEXTLINE(bugprone-suspicious-missing-comma): one statement
        "merge into t using (select 1) s(a) on (t.a = s.a) when matched then update set (a) = row (s.a) "
        "when not matched then insert (a) values (s.a)",
        "explain (analyze, format json) select lower('a')", "select set_config('app.user', $1, true)",
        "copy users (id) from stdin with (format csv, force_null (id)) where (id > 1)",
        "select array(select (a)), (a) between (1) and (2), a at time zone ('UTC'), coalesce(a, b), exists (select 1)",
        "select e'a\\'b', 'a'\n'b', 'C:\\temp', prepared, prepare from t"})
    BOOST_TEST_CONTEXT(sql) BOOST_TEST(!may_leave_state(sql));
}

BOOST_AUTO_TEST_CASE(a_keyword_is_told_from_a_function_or_a_setting_of_that_name) {
  for (const char* sql :
       {"set local.tenant = 'x'",
        "set transaction.id = '42'",
        "set constraints.x = '1'",
        "set local = 1",
        "set local to 'x'",
        "select 1 as into, set_config('app.x', '1', false)",
        "select 1 into \"pg_temp\".t",
        "select 1 into U&\"pg_temp\".t",
        "select 1 into pg_temp_3.t",
        "select 1 insert into pg_temp.t",
        "select (1) insert into pg_temp.t",
        "with x as (select 1) select 1 insert into pg_temp.t",
        "select E'a'\n'\\'', set_config('app.x', '1', false)--'",
        "select treat(7 as pg_advisory_lock)",
        "select set('a', 'b')",
        "select copy('a')",
        "select filter('a')",
        "select over('a')",
        "select explain('a')",
        "select by('a')",
        "select insert('a')",
        "select a from t order by ilike('a', 'b')",
        "select distinct on (a) over('b') from t",
        "select distinct on (a) u('b') from t",
        "select 1 from a join b on conflict(a.x)",
        "insert into t select 1 from a join b on conflict(a.x) where true",
        "select case when a then insert('x') end",
        "merge into t using s on (true) when matched then update set a = case when b then insert('x') else 'y' end",
        "update t set a = set('x', 'y')",
        "select coalesce(update, set('a', 'b')) from t",
        "select stdin('a')",
        "copy t from stdin where stdin('a')",
        "select materialized('a')",
        "select not materialized('a')",
        "with x as (select 1) select materialized(a) from x",
        "with x as (select 1) (select 1) order by y, f(1)",
        "with x as (select 1) delete from t where f(1)",
        "with x(a) as (select 1) select a from x, f(a)",
        "select x.lower(a)",
        "select lower.f(a)",
        "select a.\"lower\"(a)",
        "select \"lower\"(a)",
        "select sets(1)",
        "select rollup(1)",
        "select x::text, f(1)",
        "select x::text like f(1)",
        "select x::public.f, g(1)",
        "insert into t (a) select f(1)",
        "insert into t values (f(1))",
        "insert into f select f(1)",
        "update pg_settings set setting = 'x' where name = 'y'",
        "update pg_catalog.\"pg_settings\" set setting = 'x'",
        "with x as (update u&\"pg\\005fsettings\" set setting = 'x' returning 1) select 1",
        "select set_config('app.x', '1', a)",
        "select set_config('app.x', '1', not true)",
        "select query_to_xml('select 1', true, true, '')",
        "select ts_stat('select 1')",
        "select setseed(1)",
        "with x as (select 1 as recursive) (select 1) order by 1, f('x')",
        "with x as (select a from \"with\", recursive) (select 1) order by 1, f('x')",
        "copy t from stdin where a is distinct from stdin('a')",
        "copy t from stdin where a is distinct from stdin(f('a'))",
        "select U&\"set!005fconfig\" uescape '!' ('app.x', '1', false)",
        "select pg_catalog.U&\"set!005fconfig\" /* */ uescape '!' ('app.x', '1', false)"})
    BOOST_TEST_CONTEXT(sql) BOOST_TEST((leaves_behind(sql) != Leaves::nothing));
}

// A backslash in a character, and an operator where it could be one.
BOOST_AUTO_TEST_CASE(nothing_hides_behind_what_one_encoding_reads_in_another_way_than_the_next) {
  for (const char* sql : {"select \xc3\xa9~$$'$$, set_config('app.x', '1', false), $$'$$ from t",
                          "select \xc3\xa9|$a$'$a$, set_config('app.x', '1', false), $$'$$ from t",
                          "select E'\x95\\\\', '|| set_config('app.x', '1', false) ||''",
                          "select E'\x95\\\\\\', set_config('app.x', '1', false), ''",
                          "select E'a'\n'\x95\\\\\\', set_config('app.x', '1', false), ''",
                          "select $\x95\\$'$\x95\\$, set_config('app.x', '1', false), $$'$$",
                          "select $\x95\x95$'$\x95\x95$, set_config('app.x', '1', false), $$'$$"})
    BOOST_TEST_CONTEXT(sql) BOOST_TEST((leaves_behind(sql) != Leaves::nothing));
  for (const char* sql :
       {"select \xc3\xa9 ~ $$'$$, \xc3\xa9[1], \xc3\xa9~$1, e'\\\\', e'\xc3\xa9\\n', e'a\\\\\\'' from t",
        "select e'\\\\\\\\', e'\\\\\\'', lower('a')"})
    BOOST_TEST_CONTEXT(sql) BOOST_TEST((leaves_behind(sql) == Leaves::nothing));
}

BOOST_AUTO_TEST_CASE(quotes_names) { BOOST_TEST(quoted_name("a\"; b") == "\"a\"\"; b\""); }

BOOST_AUTO_TEST_CASE(an_unfinished_statement_ends_where_its_text_does) {
  for (const char* sql :
       {"select 'a", "select \"a", "select $a$ b", "select /* a", "select -- a", "select $", "select e'\\"})
    BOOST_TEST_CONTEXT(sql) BOOST_TEST(!may_leave_state(sql));
}

BOOST_AUTO_TEST_CASE(blots_out_what_follows_the_word_password) {
  BOOST_TEST(without_passwords("alter role x password 'a''b' login") == "alter role x password '***' login");
  BOOST_TEST(without_passwords("ALTER ROLE x PASSWORD\n'a") == "ALTER ROLE x PASSWORD\n'***'");
  BOOST_TEST(without_passwords("create role x password e'a\\'b' login") == "create role x password '***' login");
  BOOST_TEST(without_passwords("alter role x password $$a'b$$ login") == "alter role x password '***' login");
  BOOST_TEST(without_passwords("alter role x password $q$a$$b$q$ login") == "alter role x password '***' login");
  BOOST_TEST(without_passwords("alter role x password $q$a$$b$") == "alter role x password '***'");
  BOOST_TEST(without_passwords("alter role x password U&'a''b' login") == "alter role x password '***' login");
  BOOST_TEST(without_passwords("x where password = $1 and y = $2") == "x where password = $1 and y = $2");
  BOOST_TEST(without_passwords("dblink('host=x password=abc user=y')") == "dblink('host=x password=*** user=y')");
  BOOST_TEST(without_passwords("x where password = $1") == "x where password = $1");
  BOOST_TEST(without_passwords("options (password 'abc', user 'u')") == "options (password '***', user '***')");
  BOOST_TEST(without_passwords("create subscription x connection 'host=x password=''a b'' user=y' publication z") ==
             "create subscription x connection 'host=x password=***' publication z");
  BOOST_TEST(without_passwords("password 'a' password 'b'") == "password '***' password '***'");
  BOOST_TEST(without_passwords("select password_hash, password from users") ==
             "select password_hash, password from users");
}

BOOST_AUTO_TEST_CASE(blots_out_every_literal_behind_the_word_password) {
  const std::string before = "select 'shown', ";
  for (const char* behind : {"set_config('app.password', 'hunter2', false)",
                             "x where password = crypt('hunter2', salt)",
                             "x where password = crypt(e'\\'hunter2', salt)",
                             "f(password => 'hunter2')",
                             "f(password := 'hunter2')",
                             "f(password := hunter2)",
                             "password /* */ 'hunter2'",
                             "password /* don't */ 'hunter2'",
                             "1 -- don't\n; alter role x password 'hunter2'",
                             "1 -- don't\r; alter role x password 'hunter2'",
                             "\"don't\"; alter role x password 'hunter2'",
                             "\"password\" = 'hunter2'",
                             "\"password\", $$hunter2$$",
                             "password_hash, U&'hunter2'",
                             "password = e'\\'hunter2'",
                             "password = x||e'\\'hunter2'",
                             "password=''||'hunter2'",
                             "1; do $$ begin perform 'shown'; alter role x password 'hunter2'; end $$, 'hunter2'",
                             "1; do 'alter role x password ''hunter2'''",
                             "/* password 'hunter2' */ 1",
                             "password'hunter2'",
                             "'host=x password=hunter2",
                             "dblink('host=x password=$hunter2')",
                             "1 where password = $hunter2"}) {
    const std::string sql = before + behind;
    const std::string shown = without_passwords(sql);
    BOOST_TEST(shown.starts_with(before), shown);
    BOOST_TEST(shown.find("hunter2") == std::string::npos, shown);
  }
  BOOST_TEST(without_passwords("select set_config('app.password', 'a', false)") ==
             "select set_config('app.password', '***', false)");
  BOOST_TEST(without_passwords("select f(password => 'a'), $1, e'b'") == "select f(password => '***'), $1, '***'");
  BOOST_TEST(without_passwords("select 'it''s', $$a$$") == "select 'it''s', $$a$$");
}

BOOST_AUTO_TEST_CASE(blots_out_the_passwords_of_urls) {
  BOOST_TEST(without_passwords("select dblink_connect('postgresql://app:hunter2@db2/x')") ==
             "select dblink_connect('postgresql://app:***@db2/x')");
  BOOST_TEST(without_passwords("create subscription s connection 'postgresql://u:hunter2@h/d' publication p") ==
             "create subscription s connection 'postgresql://u:***@h/d' publication p");
  BOOST_TEST(without_passwords("'a://b:hunter2@c,a://:2@d'") == "'a://b:***@c,a://:***@d'");
  for (const char* text :
       {"'postgresql://app:hun''hunter2@db'", "$$postgresql://app:hun'hunter2@db$$",
        "e'postgresql://app:\\'hunter2@db'", "'postgresql://app:5432hunter2@db'",
        "'postgresql://app:hunter2/hunter2@db'", "'postgresql://app:a@hunter2@db'",
        "'http://host:80/ postgresql://app:hunter2@db'", "'postgresql://app:hunter2@'",
        "'postgresql://app:2024.hunter2@db'", "'postgresql://app:12&hunter2@db'", "'postgresql://app:7,hunter2@db'",
        "'postgresql://app:1''hunter2@db'", "'postgresql://app:99(hunter2)@db'",
        "'postgresql://app:1;hunter2@db:5432/x'", "'smtp://me@corp.com:hunter2@host'",
        "'smtp://me@corp.com:1hunter2@host'", "'postgresql://app:a b\"hunter2@db'",
        "'postgresql://db?password=hunter2'", "'postgresql://app:password@x' 'hunter2'"}) {
    const std::string shown = without_passwords(text);
    BOOST_TEST(shown.find("hunter2") == std::string::npos, shown);
  }
  for (const char* text :
       {"'http://host:8080/a@b'", "'http://host:80' @ 'x'", "'http://host' 'a:b@c'", "'a:b@c'", "'http://[::1]:80/a@b'",
        "'http://a:80,b:81/c@d'", "'ssh://me@host:22/x@y'", "ssh://me@host:22 x@y", "ssh://me@host:path x@y",
        "-- see http://a:b\n where c @> d", "'http://a: b@c'", "'://a:", "'postgresql://app@db:5432/x'", "://"})
    BOOST_TEST(without_passwords(text) == text);
  const std::string beginning = std::string(longest_shown - 20, 'x') + "'postgres://a:";
  BOOST_TEST((without_passwords(beginning + "hunter2@db'") == beginning + "***..."));
  BOOST_TEST((without_passwords(beginning + "1234567@db'") == beginning + "***..."));
}

BOOST_AUTO_TEST_CASE(blots_out_what_is_written_as_no_literal) {
  for (const char* text : {"alter role joe password \"hunter2\"",
                           "ALTER USER joe ENCRYPTED PASSWORD hunter2",
                           "create role joe password 1hunter2",
                           "select \"password\" from t where \"password\" = hunter2",
                           "set \"app.password\" = hunter2",
                           "set app.\"password\" = hunter2",
                           "set app.password to hunter2",
                           "set app.\"password\" to hunter2",
                           "f: password=$1hunter2",
                           "Key (password)=(a)hunter2) already exists.",
                           "Key (\"Password\")=(a) hunter2) conflicts with existing key (\"Password\")=(b) hunter2).",
                           "select dblink_connect('host=x password=a;hunter2')",
                           "select dblink_connect('host=x password=a&hunter2')",
                           "select dblink_connect('host=x password=a)hunter2')",
                           "select dblink_connect('host=x password=a\\ hunter2')",
                           "select dblink_connect(e'host=x password=a\\\\ hunter2')",
                           "select f('{\"password\": \"hunter2\"}')",
                           "select f('{\"a\": {\"password\" :hunter2}}')",
                           "select f('\"{\\\"password\\\":\\\"hunter2\\\"}\"')",
                           "no json: {\"password\": \"hunter2\"}",
                           "JSON data, line 1: {\"password\": hunter2...",
                           "COPY u, line 1, column password: \"hunter2\"",
                           "select $${\"password\": \"hunter2\"}$$"}) {
    const std::string shown = without_passwords(text);
    BOOST_TEST(shown.find("hunter2") == std::string::npos, shown);
  }
  BOOST_TEST(without_passwords("alter role joe password hunter2 login") == "alter role joe password *** login");
  BOOST_TEST(without_passwords("create table t (password text)") == "create table t (password text)");
  BOOST_TEST(without_passwords("select password, \"a\" from t") == "select password, \"a\" from t");
  BOOST_TEST(without_passwords("x where password = $1 and y = ($2::text)") ==
             "x where password = $1 and y = ($2::text)");
  BOOST_TEST(without_passwords("x where \"password\"::text = $1") == "x where \"password\"::text = $1");
  BOOST_TEST(without_passwords("x where password = $1::text") == "x where password = $1::text");
}

BOOST_AUTO_TEST_CASE(a_message_quotes_nothing_that_is_not_shown_of_its_statement) {
  const std::string_view sql = "x \"nmae\" password = Hunter2", shown = "x \"nmae\" password = ***";
  BOOST_TEST(without_quoted("column \"hunter2\" does not exist", sql, shown) == "column \"***\" does not exist");
  BOOST_TEST(without_quoted("at or near \"\"Hunter2\"\"", "x \"Hunter2\"", "x \"***\"") == "at or near \"***\"");
  for (const char* message :
       {"column \"nmae\" does not exist", "relation \"y\" does not exist", "\"\"", "\"", "no", ""})
    BOOST_TEST(without_quoted(message, sql, shown) == message);
}

BOOST_AUTO_TEST_CASE(blots_out_the_values_of_a_key_with_a_password) {
  BOOST_TEST(without_passwords("Key (password)=(hunter2) already exists.") == "Key (password)=(***) already exists.");
  BOOST_TEST(without_passwords("Key (name, password, id)=(a, b, 3) already exists.") ==
             "Key (name, password, id)=(***) already exists.");
}

BOOST_AUTO_TEST_CASE(blots_out_the_rest_where_the_end_of_a_literal_is_a_matter_of_settings) {
  BOOST_TEST(without_passwords("select 'a\\', password 'hunter2'") == "select '***");
  BOOST_TEST(without_passwords("password '\\' || 'hunter2'") == "password '***");
  BOOST_TEST(without_passwords("password e'\\'' 'x'") == "password '***' '***'");
  BOOST_TEST(without_passwords("password e'a'\n'\\'hunter2' x") == "password '***' x");
  BOOST_TEST(without_passwords("password = x||$$hunter2 and more$$ x") == "password = ***'***' x");
}

BOOST_AUTO_TEST_CASE(a_very_long_text_is_cut_before_it_is_looked_at) {
  const std::string beginning(longest_shown - 1, 'x');
  BOOST_TEST((without_passwords(beginning + "y") == beginning + "y"));
  BOOST_TEST((without_passwords(beginning + "yz") == beginning + "y..."));
  BOOST_TEST((without_passwords(beginning + "\xc3\xa4 password") == beginning + "..."));
  const std::string cut = without_passwords("password '" + beginning + " hunter2'");
  BOOST_TEST(cut == "password '***'...");
}

BOOST_AUTO_TEST_CASE(looking_at_a_text_takes_time_in_proportion_to_its_length_whatever_it_holds) {
  constexpr std::size_t size = lido::test::slow ? 50'000 : 500'000;
  const std::chrono::nanoseconds most = size * std::chrono::microseconds{2};
  for (const std::string& text : hostile_texts(size)) BOOST_TEST_CONTEXT(text.substr(0, 40)) {
      BOOST_TEST((busy([&] { static_cast<void>(WithoutPasswords::of(text)); }) < most));
      BOOST_TEST((busy([&] { static_cast<void>(without_url_passwords(text)); }) < most));
      BOOST_TEST((busy([&] { static_cast<void>(leaves_behind(text)); }) < most));
      BOOST_TEST((busy([&] { static_cast<void>(one_line(text)); }) < most));
      BOOST_TEST((busy([&] { static_cast<void>(connect_diagnostics(text)); }) < most));
    }
  for (const char* unit : {":  ", ":  28P01: \n", ":  28P0", "\n\t"}) BOOST_TEST_CONTEXT(unit)
  BOOST_TEST((busy([&, text = hostile(unit, size)] { static_cast<void>(connect_diagnostics(text)); }) < most));
  for (const char* unit : {"://", "://a:", "://a:1", "://a:b@", "://a:@@", "@"}) BOOST_TEST_CONTEXT(unit)
  BOOST_TEST((busy([&, text = hostile(unit, size)] { static_cast<void>(without_url_passwords(text)); }) < most));
  BOOST_TEST((busy([&] { static_cast<void>(without_secret(hostile("secret", size), "secret")); }) < most));
}

BOOST_AUTO_TEST_CASE(blots_out_a_secret_wherever_it_stands) {
  BOOST_TEST(without_secret("secretsecret a secret", "secret") == "****** a ***");
  BOOST_TEST(without_secret("***** ab", "****") == "**** ab");
  BOOST_TEST(without_secret("abc", "abc") == "abc");
}

BOOST_AUTO_TEST_CASE(finds_the_state_of_a_failed_connect_in_any_language) {
  const auto one = connect_diagnostics(
      "connection to server at \"h\" (::1), port 5432 failed: Connection refused\n\tIs the server running?\n"
      "connection to server at \"h\" (127.0.0.1), port 5432 failed: FATAL:  28P01: no way in\nLOCATION:  x, y.c:1\n");
  BOOST_TEST(one.sqlstate == "28P01");
  BOOST_TEST(one.message == "connection to server at \"h\" (127.0.0.1), port 5432 failed: FATAL: no way in");
  const auto german = connect_diagnostics("Verbindung fehlgeschlagen: SCHWERER FEHLER:  53300: zu viele\n");
  BOOST_TEST(german.sqlstate == "53300");
  const auto none = connect_diagnostics("failed: Connection refused\n\tIs the server running?\n");
  BOOST_TEST(none.sqlstate == "");
  BOOST_TEST(none.message == "failed: Connection refused. Is the server running?");
}

BOOST_AUTO_TEST_SUITE_END()
