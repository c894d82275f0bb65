"""Models are written once, for DuckDB; what Spark gets is the same SQL with the same meaning."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dagster_project.spark.dialect import Untranslatable, to_spark

REPOSITORY = Path(__file__).resolve().parents[2]
# Words that DuckDB has and Spark has not, or has in another meaning.
DUCKDB_WORDS = re.compile(
    r"\b(arg_min|arg_max|strftime|epoch_ms|epoch_us|to_minutes|unnest|generate_series|list_\w+|timezone|int128|hugeint|varchar|asof|columns)\s*\(|"
    r"\basof\b|\bint128\b|::|//",
    re.IGNORECASE,
)


def one_line(sql: str) -> str:
    return " ".join(to_spark(sql).split())


def test_every_model_is_translated_and_nothing_of_duckdb_is_left_over(sample_data):
    compiled = sample_data / "private" / "dbt" / "compiled" / "live_commerce" / "models"
    models = {path.stem for path in (REPOSITORY / "dbt" / "models").rglob("*.sql")}
    left_over = {}
    for name in sorted(models):
        (file,) = compiled.rglob(f"{name}.sql")
        text = re.sub(r"/\*.*?\*/|'(?:[^'\\]|\\.)*'", "", to_spark(file.read_text(encoding="utf-8")), flags=re.DOTALL)
        if found := DUCKDB_WORDS.findall(text):
            left_over[name] = found
    assert len(models) > 100
    assert left_over == {}


def test_a_fraction_is_one_of_doubles():
    assert one_line("select a / b as c from t") == "SELECT CAST(a AS DOUBLE) / CAST(b AS DOUBLE) AS c FROM t"


def test_a_whole_quotient_wider_than_64_bits_takes_the_remainder_off_before_it_divides():
    assert one_line("select a // b as c from t") == (
        "SELECT CAST(( CAST(a AS DECIMAL(38, 0)) - ( CAST(a AS DECIMAL(38, 0)) % CAST(b AS DECIMAL(38, 0)) ) ) "
        "/ CAST(b AS DECIMAL(38, 0)) AS DECIMAL(38, 0)) AS c FROM t"
    )
    assert one_line("select a // 60000 as c from t") == "SELECT a DIV 60000 AS c FROM t"


def test_an_instant_as_a_number_keeps_its_unit():
    translated = one_line("select (epoch_us(b) - epoch_us(a)) // 60000000 as c, epoch_ms(a) as d from t")
    assert translated == "SELECT ( UNIX_MICROS(b) - UNIX_MICROS(a) ) DIV 60000000 AS c, UNIX_MILLIS(a) AS d FROM t"


def test_a_double_is_rounded_by_its_scaled_value_as_duckdb_does():
    translated = one_line("select cast(round(sqrt(a), 6) as decimal(24, 6)) as c from t")
    assert "ROUND(SQRT(a) * CAST(1000000 AS DOUBLE)) / CAST(1000000 AS DOUBLE)" in translated


def test_a_decimal_is_rounded_as_a_decimal():
    rounded = "select cast(round(cast(a as decimal(38, 9)), 6) as decimal(24, 6)) as c from t"
    assert "* CAST(1000000" not in one_line(rounded)


def test_what_is_not_known_to_be_a_double_is_decided_by_its_type():
    assert "TYPEOF(a) = 'double'" in one_line("select cast(round(a, 6) as decimal(24, 6)) as c from t")


def test_arg_min_passes_over_a_value_that_is_null():
    assert one_line("select arg_min(a, (b, c)) as d from t") == (
        "SELECT MIN_BY(a, STRUCT(b, c)) FILTER(WHERE NOT a IS NULL) AS d FROM t"
    )


def test_nulls_come_last_as_in_duckdb():
    assert "ORDER BY b NULLS LAST" in one_line("select row_number() over (order by b) as n from t")


def test_an_asof_join_becomes_a_join_of_spans():
    translated = one_line("select * from e asof join p on e.k = p.k and e.t >= p.since")
    assert "LEAD(since) OVER (PARTITION BY k ORDER BY since NULLS LAST) AS since_until" in translated
    assert "p.since_until IS NULL OR e.t < p.since_until" in translated
    assert "ASOF" not in translated


def test_an_asof_join_that_excludes_equality_ends_each_span_with_the_next_ones_instant():
    translated = one_line("select * from e asof left join p on e.k = p.k and e.t > p.since")
    assert "p.since_until IS NULL OR e.t <= p.since_until" in translated


def test_unpivot_names_the_columns_that_a_star_stands_for():
    translated = one_line(
        "with w as (select k, a, b from t) select * from (unpivot ("
        "select k, cast(columns(* exclude (k)) as decimal(38, 6)) from w"
        ") on columns(* exclude (k)) into name measure value amount)"
    )
    assert "CAST(a AS DECIMAL(38, 6)) AS a, CAST(b AS DECIMAL(38, 6)) AS b" in translated
    assert "UNPIVOT(amount FOR measure IN (a, b))" in translated


def test_unpivot_looks_a_star_in_a_star_up_in_the_expression_it_comes_from():
    translated = one_line(
        "with met as (select k, n, a, b from t), w as (select t.k, met.* exclude (k, n) from t inner join met on t.n = met.n) "
        "select * from (unpivot (select k, cast(columns(* exclude (k)) as decimal(38, 6)) from w) "
        "on columns(* exclude (k)) into name measure value amount)"
    )
    assert "UNPIVOT(amount FOR measure IN (a, b))" in translated


def test_a_named_window_before_a_minus_is_no_longer_name():
    assert "( SUM(a) OVER w ) - b" in one_line("select sum(a) over w - b as c from t window w as (partition by d)")


def test_qualify_leaves_no_helper_column_in_a_star():
    translated = one_line("select * from t qualify row_number() over (partition by a order by b desc) = 1")
    assert translated.startswith("SELECT * EXCEPT (is_qualified) FROM ( SELECT *, ")


def test_a_common_table_expression_is_never_kept():
    written = one_line("with a as not materialized (select 1 as x) select a.x from a")
    assert written == "WITH a AS ( SELECT 1 AS x ) SELECT a.x FROM a"


def test_a_function_without_a_counterpart_is_named():
    with pytest.raises(Untranslatable, match="no Spark counterpart for list_zip"):
        to_spark("select list_zip(a, b) as c from t")
    with pytest.raises(Untranslatable, match="no Spark counterpart for .* replace"):
        to_spark("select * replace (1 as a) from t")
    with pytest.raises(Untranslatable, match="no Spark counterpart for timezone"):
        to_spark("select timezone('UTC', a) as b from t")
    with pytest.raises(Untranslatable, match="no Spark counterpart for generate_series.* as a table"):
        to_spark("select days.n from t cross join range(-7, 1) as days (n)")
