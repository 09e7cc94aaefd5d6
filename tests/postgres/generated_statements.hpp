// Statements out of a grammar, by a seed: every way to write a name, a literal and a comment, keywords in all of their
// places, and functions that change the session wherever an expression may stand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <random>

#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/postgres/detail/sql/builtins.hpp>
#include <lido/postgres/detail/sql/keywords.hpp>
#include <lido/postgres/detail/sql/lexer.hpp>

namespace lido::test {

class GeneratedStatements {
 public:
  explicit GeneratedStatements(std::uint64_t seed) : random_{seed} {
    using namespace postgres::detail;
    for (const std::string_view list : {unreserved_keywords, operator_keywords}) {
      std::istringstream words{std::string{list}};
      for (std::string word; words >> word;)
        if (!is_builtin(word, harmless_functions)) functions_.push_back(word);
    }
    std::istringstream words{std::string{no_function_names}};
    for (std::string word; words >> word;) reserved_.push_back(word);
  }

  /// Unqualified names of functions that change the session, and names of such functions in the schema `s`.
  [[nodiscard]] const std::vector<std::string>& functions() const noexcept { return functions_; }
  [[nodiscard]] const std::vector<std::string>& reserved() const noexcept { return reserved_; }

  [[nodiscard]] std::string next() {
    std::string text = fill("%S", 3 + static_cast<int>(below(3)));
    if (chance(6)) text += ";" + fill("%S", 3);
    return chance(4) ? mutated(text) : text;
  }

 private:
  using Texts = std::initializer_list<const char*>;

  [[nodiscard]] std::size_t below(std::size_t end) { return static_cast<std::size_t>(random_() % end); }
  [[nodiscard]] bool chance(std::size_t one_in) { return below(one_in) == 0; }
  [[nodiscard]] std::string one_of(Texts texts) { return texts.begin()[below(texts.size())]; }

  [[nodiscard]] std::string gap() {
    if (!chance(8)) return " ";
    return one_of({"\n", "\t ", "\r\n", "/**/", " /* set /* role */ 'x */ ", " -- '\n", "--\"\r", "\f", " /*--*/"});
  }
  [[nodiscard]] std::string cased(std::string word) {
    if (chance(5))
      for (std::size_t i = 0; i < word.size(); ++i)
        if (word[i] >= 'a' && word[i] <= 'z' && (i == 0 || word[i - 1] != '%') && chance(2))
          word[i] = static_cast<char>(word[i] - 32);
    return word;
  }

  // `%x` stands for something of the kind x, a space for any white space.
  [[nodiscard]] std::string fill(std::string_view pattern, int depth) {
    std::string text;
    for (std::size_t at = 0; at < pattern.size(); ++at) {
      if (pattern[at] == ' ')
        text += gap();
      else if (pattern[at] == '%')
        text += made(pattern[++at], depth - 1);
      else
        text += pattern[at];
    }
    return text;
  }
  [[nodiscard]] std::string fill_one(int depth, Texts texts) { return fill(cased(one_of(texts)), depth); }

  [[nodiscard]] std::string made(char kind, int depth) {
    switch (kind) {
      case 'S':
        return statement(depth);
      case 'q':
        return query(depth);
      case 'e':
        return expression(depth);
      case 'b':
        return condition(depth);
      case 'r':
        return relation(depth);
      case 'l':
        return literal();
      case 'f':
        return changing();
      case 'h':
        return one_of(
            {"lower", "upper", "md5", "initcap", "reverse", "pg_catalog.lower", "PG_CATALOG . upper", "btrim"});
      case 'c':
        return one_of({"a", "b", "t.a", "\"a\"", "t.\"b\"", "U&\"\\0061\"", "u&\"!0061\" uescape '!'", "t . a",
                       "update", "\"update\"", "A", "set"});
      case 't':
        return one_of({"t", "public.t", "\"t\"", "public.\"t\"", "t2", "U&\"t\"", "only t", "data"});
      case 'n':
        return one_of({"x", "u", "\"X\"", "data", "filter", "over", "insert", "update", "set", "conflict", "\"a b\"",
                       "materialized", "u&\"x\"", "copy", "lower", "z"});
      case 'k':
        return chance(2) ? reserved_[below(reserved_.size())] : functions_[below(functions_.size())];
      case 'p':
        return one_of({"pg_temp.y", "\"pg_temp\".y", "U&\"pg_temp\".y", "temp y", "temporary table y", "pg_temp . y",
                       "y", "u&\"pg\\005ftemp\".y"});
      case 's':
        return one_of({"app.leak", "local.x", "session.x", "transaction.x", "constraints.x", "work_mem", "\"app\".leak",
                       "search_path", "app . leak"});
      default:
        return {};
    }
  }

  [[nodiscard]] std::string changing() {
    switch (below(9)) {
      case 0:
        return "s." + reserved_[below(reserved_.size())];
      case 1:
        return "s . lower";
      case 2:
        return "\"" + functions_[below(functions_.size())] + "\"";
      case 3:
        return one_of({"public.", "\"public\".", "public . "}) + functions_[below(functions_.size())];
      case 4:
        return one_of({"leak", "leak", "U&\"le!0061k\" uescape '!'"});
      default:
        return cased(functions_[below(functions_.size())]);
    }
  }

  [[nodiscard]] std::string literal() {
    const std::string inside = one_of({"x", "", "it''s", "set role x", "--", "/*", "$$", "\"", ";", "a)b(", "%", "x\ny",
                                       "\xc3\xa9", "\xc3\xa9\\\\", "'');listen z;select ('"});
    switch (below(13)) {
      case 0:
        return "e'" + inside + one_of({"\\'", "\\\\", "\\n", "\\x41", "\\'', leak() --", ""}) + "'";
      case 1:
        return "$$" + one_of({"x", "'", "$", "$a", "select leak()"}) + "$$";
      case 2:
        return "$a$" + one_of({"x", "'", "$$", "$b$", "$a", "$$ $A$ '"}) + "$a$";
      case 3:
        return "U&'\\0041" + inside + "'";
      case 4:
        return "'" + inside + "'" + one_of({"\n", " -- x\n", "\n\n", "\r\n --'\n"}) + "'" + inside + "'";
      case 5:
        return "E'" + inside + "'\n'" + one_of({"\\'", "\\\\", "a", "\\'', leak(), ''"}) + "'";
      case 6:
        return "'" + inside + one_of({"\\", "\\\\", "\\''", "\\x"}) + "'";
      case 7:
        return one_of({"N'x'", "n''", "b'01'::text", "x'1f'::text", "1::text", "1.5e3::text", ".5::text", "text 'x'",
                       "1e5::text", "date '2020-01-01'::text", "interval '1' day::text", "null::text"});
      default:
        return "'" + inside + "'";
    }
  }

  [[nodiscard]] std::string expression(int depth) {
    if (depth <= 0) return chance(3) ? fill("%c", 1) : chance(2) ? literal() : "a";
    if (chance(7)) return fill_one(depth, {"%f(%e)", "%f (%e, %e)", "%f()", "%f(%l)", "%f(v => %e)", "%f(v := %e)"});
    return fill_one(depth, {"%c",
                            "%l",
                            "%h(%e)",
                            "%e || %e",
                            "(%e)",
                            "case when %b then %e else %e end",
                            "case %e when %e then %e end",
                            "(%q limit 1)",
                            "cast(%e as text)",
                            "%e::text",
                            "%e::varchar(3)",
                            "%e::character varying (9)::text",
                            "%e collate \"C\"",
                            "(array[%e, %e])[1]",
                            "row(%e, %e)::text",
                            "%e operator(pg_catalog.||) %e",
                            "left(%e, 1)",
                            "right (%e, 1)",
                            "coalesce(%e, %e)",
                            "nullif(%e, %e)",
                            "max(%e) over ()",
                            "min(%e) over (partition by (%e))",
                            "count(*) filter (where %b) over (order by (%e))::text",
                            "(select string_agg(%e, ',' order by (%e)) from t)",
                            "substring(%e from 1 for 2)",
                            "trim(both from %e)",
                            "position(%e in %e)::text",
                            "greatest(%e, %e)",
                            "extract(year from now())::text",
                            "set_config('app.leak', %e, true)",
                            "set_config('app.leak', 'x', false)",
                            "format('%%s', variadic array[%e])",
                            "concat(%e, %l)",
                            "current_timestamp(3)::text",
                            "overlay(%e placing %e from 1)",
                            "(%e is null)::text",
                            "(not (%b))::text",
                            "pg_advisory_xact_lock(1)::text",
                            "now()::timestamp(3)::text",
                            "array_to_string(array(%q), ',')",
                            "to_char(now(), %l)",
                            "jsonb_build_object('a', %e)::text",
                            "regexp_replace(%e, 'a', %e)",
                            "set_config('app.leak', 'x', %b)",
                            "pg_try_advisory_lock(1)::text",
                            "(+1)::text",
                            "t::text",
                            "(t).a",
                            "quote_literal(%e)",
                            "string_to_array(%e, ',')::text",
                            "encode('a', 'hex')",
                            "1 <> - 1 or %b"});
  }

  [[nodiscard]] std::string condition(int depth) {
    if (depth <= 0) return one_of({"true", "a = a", "1=1", "a is not null"});
    return fill_one(depth, {"%e = %e",
                            "%e in (%e, %e)",
                            "%e in (%q)",
                            "exists (%q)",
                            "%e like %e",
                            "%e like (%e)",
                            "%e ilike (%e)",
                            "%e similar to (%e)",
                            "%e between (%e) and (%e)",
                            "true",
                            "%e is distinct from (%e)",
                            "not (%b)",
                            "(%b) and (%b)",
                            "%b or %b",
                            "%e = any (array[%e])",
                            "%e isnull",
                            "%e <> all (%q)",
                            "(%e, %e) = (%e, %e)",
                            "%f(%e) = %l",
                            "%f(%e) is null"});
  }

  [[nodiscard]] std::string relation(int depth) {
    if (depth <= 0) return fill("%t", 1);
    return fill_one(depth, {"%t",
                            "%t as %n",
                            "%t %n",
                            "%t as %n(%n)",
                            "(%q) %n",
                            "(%q) as %n(%n)",
                            "(values (%e, %e)) %n(%n, %n)",
                            "%f(%e) as %n(%n)",
                            "%f(%e) %n",
                            "%f(%e)",
                            "unnest(array[%e]) with ordinality %n(%n, %n)",
                            "%t cross join %r",
                            "lateral (%q) %n(%n)",
                            "%t join (%q) %n on (%b)",
                            "%t left join %t %n on %b",
                            "unnest(array[%e]) %n(%n)",
                            "%t join t2 using (id)",
                            "rows from (%f(%e)) as %n",
                            "%t tablesample bernoulli (100)",
                            "%t, %r",
                            "%t, %t %n",
                            "generate_series(1, 2) as %n(%n)",
                            "%t natural join (%q) %n",
                            "%t join t2 on %f(%e) = 'x'",
                            "(%t inner join (%q) %n on true)",
                            "json_to_record('{}') as %n(%n text, %n varchar(3))"});
  }

  [[nodiscard]] std::string query(int depth) {
    if (depth <= 0) return fill_one(1, {"select %c from t", "values (%l)", "select 'x'", "table t2"});
    return fill_one(
        depth,
        {"select %e", "select %e, %e", "select %e as %n", "select %e %n", "select %e as %k, %e", "select all (%e)",
         "select distinct on (%e) %e from %r", "select distinct on (%e) %f(%e) from %r", "select distinct (%e) from %r",
         "select %e from %r where %b", "select %e from %r", "select %c from %r group by %c", "table t",
         "(%q) union all (%q)", "select a from t group by rollup (a)",
         "select a from t group by grouping sets ((a), ())", "select a from t group by cube (a) having %b",
         "select a from t group by (a), %e", "values (%e), (%e)", "%q union %q", "with %n as (%q) %q",
         "with %n(%n) as (%q) %q", "with %n as materialized (%q) select %e",
         "with %n as not materialized (%q), %n(%n) as (%q) select %e", "with recursive %n(%n) as (%q) (%q) order by %e",
         "select %e from %r order by (%e) limit (1)", "select %e from %t for update", "select %e into %p",
         "select %e insert into %p from t", "(%q)", "select %e from %r window w as (partition by (%e)) order by %e",
         "with %n as (update t set a = %e where false returning %e) %q", "select %e from %r fetch first (1) rows only",
         "with %n as (insert into t2 (a) select %e returning a) select %e", "select (%e) %n, %e from %r",
         "with recursive %n(a) as (%q) cycle a set y using z (%q) order by a, %f(%e)",
         "with recursive %n(a) as (%q) search depth first by a set o %q",
         // NOLINTNEXTLINE(bugprone-suspicious-missing-comma): one statement
         "select percentile_disc(0.5) within group "
         "(order by (%e)) filter (where %b) from %r",
         "select from %r where %b offset (0)"});
  }

  [[nodiscard]] std::string statement(int depth) {
    if (!chance(3)) return query(depth);
    return fill_one(
        depth,
        {"insert into t (a) values (%e)", "insert into t2 (a, b) select %e, %e from %r", "insert into t as x (a) %q",
         "insert into public.t (id, a) values (1, %e) on conflict (id) do nothing", "insert into t2 default values",
         "insert into t (id) values (1) on conflict (id) do update set (a, b) = (select %e, %e) where %b returning %e",
         "insert into t (a) with %n(%n) as (%q) select %e", "insert into t overriding user value %q",
         "insert into t select * from t2 join t t3 on conflict(t3.a) = 'x'", "update t set a = %e where %b",
         "update t set (a, b) = (select %e, %e)", "update t x set a = %e, b = %e from %r returning (%e)",
         "delete from t2 where %b", "delete from t2 using %r where %b returning %e",
         "with %n as (%q) delete from t2 where %b",
         // NOLINTNEXTLINE(bugprone-suspicious-missing-comma): one statement
         "merge into t using (%q) s(a) on (%b) when matched then update set (a) = row (%e) "
         "when not matched then insert (a) values (%e)",
         "merge into t2 x using t on %b when matched then update set a = case when %b then insert(%e) else %e end",
         "update pg_settings set setting = '5MB' where name = 'work_mem'",
         "update only pg_catalog.pg_settings set setting = "
         "'6MB' where name = 'work_mem'",
         "with %n as (%q) update \"pg_settings\" set setting = '7MB' where name = 'work_mem'", "explain %q",
         "explain (analyze, costs off) %q", "explain analyze verbose %q", "explain analyze select %f(%e)",
         "copy (%q) to stdout", "copy (%q) to stdout with (format csv, header)", "copy t2 (a) from stdin",
         "show work_mem", "explain (analyze) create temp table y as %q", "begin; %S; commit", "begin; %S; rollback",
         "savepoint x", "begin; set local %s = '5MB'; commit", "set local %s = '5MB'", "set %s = '5MB'",
         "set %s to default", "set transaction isolation level serializable", "set constraints all deferred",
         "set local role somebody", "set role somebody", "set session role somebody", "set /* local */ role somebody",
         "set local to 'x'", "reset work_mem", "listen z", "notify z", "begin; lock table t; end",
         "start transaction; listen z; commit", "create temp table y as %q", "create local temporary table y (a text)",
         "create table pg_temp.y (a text)", "prepare p as %q", "deallocate all", "declare c cursor with hold for %q",
         "do 'begin perform leak(); end'", "call leaking()", "set time zone 'UTC'; %q", "discard temp",
         "select lastval()", "select nextval('counter')", "set session authorization somebody",
         "begin; declare c cursor for %q; fetch c; commit", "", ";", "truncate t2",
         "select set_config('app.leak', 'x', false) where %b", "select pg_advisory_lock(7)", "begin; %S",
         "explain execute p"});
  }

  // One token of it is another one, or is gone, or comes twice.
  [[nodiscard]] std::string mutated(const std::string& text) {
    std::vector<std::string_view> tokens;
    postgres::detail::Lexer lexer{text};
    for (auto piece = lexer.next(); piece.kind != postgres::detail::Token::end; piece = lexer.next())
      tokens.push_back(piece.text);
    if (tokens.empty()) return text;
    const std::size_t which = below(tokens.size());
    const std::string other =
        chance(2) ? std::string{tokens[below(tokens.size())]} : fill(one_of({"%k", "%n", "%f", "%l", "%c"}), 2);
    const std::size_t how = below(3);
    std::string whole;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (i != which || how == 1) whole += tokens[i];
      if (i == which && how != 2) (whole += how == 0 ? "" : " ") += other;
    }
    return whole;
  }

  std::mt19937_64 random_;
  std::vector<std::string> functions_;
  std::vector<std::string> reserved_;
};

}  // namespace lido::test
