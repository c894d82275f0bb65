"""SQL that turns a file's columns into contract types, or says why a row cannot be: no cast is trusted."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from datetime import datetime

import pyarrow as pa

from dagster_project.landing import contracts
from dagster_project.landing.contracts import Column, Contract

_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_INSTANT = (
    rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[Tt ]{_CLOCK}(:[0-5][0-9]([.,][0-9]+)?)?"
    r" ?([Zz]|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?"
)
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_NOT_FINITE = r"(?i)[+-]?(nan|inf|infinity)"


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"


def typed_select(
    contract: Contract,
    columns: Mapping[str, pa.DataType],
    folder_values: Mapping[str, str],
    null_tokens: tuple[str, ...],
    landed_at: datetime,
    passed_on: tuple[str, ...],
    relation: str,
) -> str:
    """A SELECT over `relation`: the columns passed on, each contract column typed, and _reason (null = the row is fine).

    columns: the file's column types; a column it lacks is taken from folder_values, else null.
    """
    cleaned, typed, reasons = [], [], []
    for column in contract.columns:
        kind, expression = _cleaned(
            column, columns.get(column.name), folder_values.get(column.name), null_tokens
        )
        cleaned.append(f"{expression} AS {quoted(column.name)}")
        value, checks = _typed(column, kind, f"c.{quoted(column.name)}")
        typed.append(f"{value} AS {quoted(column.name)}")
        reasons.append((column, checks))
    limit = f"TIMESTAMP '{landed_at:%Y-%m-%d %H:%M:%S.%f}' + INTERVAL 24 HOUR"
    cases: list[tuple[str, str]] = []
    for column, checks in reasons:
        name = quoted(column.name)
        given = quoted("c_" + column.name)
        if column.required:
            cases.append((contracts.NULL_KEY if column.key else contracts.NULL_REQUIRED, f"{given} IS NULL"))
        cases.extend(
            (reason, condition.replace("{given}", given).replace("{value}", name))
            for reason, condition in checks
        )
        if column.kind == "instant":
            condition = f"{name} < TIMESTAMP '2015-01-01' OR {name} > {limit}"
            cases.append((contracts.INSTANT_OUT_OF_RANGE, condition))
        if column.unsigned:
            cases.append((contracts.NEGATIVE_AMOUNT, f"{name} < 0"))
        if column.between:
            cases.append(
                (contracts.RATING_RANGE, f"{name} NOT BETWEEN {column.between[0]} AND {column.between[1]}")
            )
    cases.extend(contract.checks)
    whens = " ".join(f"WHEN {condition} THEN {literal(reason)}" for reason, condition in cases)
    others = ", ".join(passed_on)
    passed = ", ".join(
        f"c.{quoted(column.name)} AS {quoted('c_' + column.name)}" for column in contract.columns
    )
    names = ", ".join(quoted(column.name) for column in contract.columns)
    return (
        f"SELECT {others}, {names}, CASE {whens} END AS _reason FROM ("
        f"SELECT {others}, {passed}, {', '.join(typed)} FROM ("
        f"SELECT {others}, {', '.join(cleaned)} FROM {relation}) AS c)"
    )


def typed_value(column: Column, kind: pa.DataType, null_tokens: tuple[str, ...]) -> str:
    """SQL of one column's typed value, null where it is none, over a relation that has it as delivered."""
    family, expression = _cleaned(column, kind, None, null_tokens)
    return _typed(column, family, expression)[0]


def _cleaned(
    column: Column, kind: pa.DataType | None, folder_value: str | None, null_tokens: tuple[str, ...]
) -> tuple[str, str]:
    """(family, expression) of a column: text, whole, decimal, float, instant, date or boolean."""
    name = quoted(column.name)
    if kind is None:
        return "text", "CAST(NULL AS VARCHAR)" if folder_value is None else literal(folder_value)
    if pa.types.is_string(kind):
        tokens = null_tokens if null_tokens or column.kind == "text" else ("",)
        for token in tokens:
            name = f"nullif({name}, {literal(token)})"
        return "text", name
    if pa.types.is_boolean(kind):
        return "boolean", name
    if pa.types.is_integer(kind):
        return "whole", name
    if pa.types.is_decimal(kind):
        return "decimal", name
    if pa.types.is_floating(kind):
        return "float", name
    if pa.types.is_date(kind):
        return "date", name
    if pa.types.is_timestamp(kind):
        return "instant", name
    return "text", "CAST(NULL AS VARCHAR)" if pa.types.is_null(kind) else f"CAST(to_json({name}) AS VARCHAR)"


def _typed(column: Column, family: str, given: str) -> tuple[str, list[tuple[str, str]]]:
    """(expression, checks) of a column; a check is (reason, condition over {given} and {value})."""
    failed = "{given} IS NOT NULL AND {value} IS NULL"
    if column.kind in ("id", "text"):
        return _as_text(family, given), [(contracts.UNPARSABLE_NUMBER, failed)] if family == "float" else []
    if column.kind in ("enum", "zone", "currency"):
        return _as_text(family, given), [(contracts.UNKNOWN_VALUE, _unknown(column))]
    if column.kind == "month":
        shape = r"[0-9]{4}-(0[1-9]|1[0-2])"
        text = _as_text(family, given)
        return text, [(contracts.UNPARSABLE_INSTANT, f"NOT regexp_full_match({{value}}, {literal(shape)})")]
    if column.kind == "instant":
        return _as_instant(family, given), [(contracts.UNPARSABLE_INSTANT, failed)]
    if column.kind == "date":
        return _as_date(family, given), [(contracts.UNPARSABLE_INSTANT, failed)]
    if column.kind == "boolean":
        return _as_boolean(family, given), [(contracts.UNPARSABLE_BOOLEAN, failed)]
    checks = [(contracts.UNPARSABLE_NUMBER, failed)]
    if family == "text":
        checks.insert(0, (contracts.NEGATIVE_AMOUNT, f"regexp_full_match({{given}}, {literal(_NOT_FINITE)})"))
    if family == "float":
        checks.insert(0, (contracts.NEGATIVE_AMOUNT, "NOT isfinite({given})"))
    return _as_number(column.sql_type, family, given), checks


def _unknown(column: Column) -> str:
    if column.kind == "currency":
        return "NOT regexp_full_match({value}, '[A-Z]{3}')"
    # Some machines list their own zone under a name that only they can resolve.
    values = sorted(zoneinfo.available_timezones() - {"localtime"}) if column.kind == "zone" else column.values
    return f"{{value}} NOT IN ({', '.join(map(literal, values))})"


def _as_text(family: str, given: str) -> str:
    if family == "float":
        # 123.0 is how a frame with a gap writes the id 123; beyond 2^53 the digits are lost.
        whole = f"isfinite({given}) AND {given} = trunc({given}) AND abs({given}) <= 9007199254740992"
        return f"CASE WHEN {whole} THEN CAST(CAST({given} AS BIGINT) AS VARCHAR) END"
    return given if family == "text" else f"CAST({given} AS VARCHAR)"


def _as_instant(family: str, given: str) -> str:
    if family == "instant":
        return f"TRY_CAST({given} AS TIMESTAMP)"
    if family != "text":
        return "CAST(NULL AS TIMESTAMP)"
    has_seconds = f"substr({given}, 17, 1) = ':'"
    wall = (
        f"TRY_CAST(substr({given}, 1, 10) || ' ' || "
        f"CASE WHEN {has_seconds} THEN substr({given}, 12, 8) ELSE substr({given}, 12, 5) || ':00' END "
        f"AS TIMESTAMP)"
    )
    # Digits beyond the third are cut: instants are truncated to milliseconds.
    digits = f"rpad(substr(regexp_extract({given}, '^.{{19}}[.,]([0-9]+)', 1), 1, 3), 3, '0')"
    milliseconds = f"CASE WHEN substr({given}, 20, 1) IN ('.', ',') THEN CAST({digits} AS INTEGER) ELSE 0 END"
    offset = f"replace(regexp_extract(substr({given}, 17), '[+-][0-9:]+$'), ':', '')"
    minutes = (
        f"CASE WHEN {offset} = '' THEN 0 ELSE CAST(substr({offset}, 1, 1) || '1' AS INTEGER) * "
        f"(CAST(substr({offset}, 2, 2) AS INTEGER) * 60 + CAST('0' || substr({offset}, 4, 2) AS INTEGER)) END"
    )
    return (
        f"CASE WHEN regexp_full_match({given}, {literal(_INSTANT)}) "
        f"THEN {wall} + to_milliseconds({milliseconds}) - to_minutes({minutes}) END"
    )


def _as_date(family: str, given: str) -> str:
    if family == "date":
        return given
    if family == "instant":
        midnight = f"CAST({given} AS TIMESTAMP) = date_trunc('day', CAST({given} AS TIMESTAMP))"
        return f"CASE WHEN {midnight} THEN CAST({given} AS DATE) END"
    if family != "text":
        return "CAST(NULL AS DATE)"
    shape = "[0-9]{4}-[0-9]{2}-[0-9]{2}([T ]00:00(:00([.]0+)?)?)?"
    is_date = f"regexp_full_match({given}, {literal(shape)})"
    return f"CASE WHEN {is_date} THEN TRY_CAST(substr({given}, 1, 10) AS DATE) END"


def _as_boolean(family: str, given: str) -> str:
    if family == "boolean":
        return given
    text = f"lower(CAST({given} AS VARCHAR))"
    return f"CASE WHEN {text} IN ('true', '1') THEN true WHEN {text} IN ('false', '0') THEN false END"


def _as_number(sql_type: str, family: str, given: str) -> str:
    if family in ("instant", "date", "boolean"):
        return f"CAST(NULL AS {sql_type})"
    if family == "whole":
        return f"TRY_CAST({given} AS {sql_type})"
    if family == "text":
        exact = f"TRY_CAST(CASE WHEN regexp_full_match({given}, {literal(_NUMBER)}) THEN {given} END AS "
    elif family == "float":
        # Through text, so that a 32-bit 19.9 stays 19.9.
        exact = f"TRY_CAST(CASE WHEN isfinite({given}) THEN CAST({given} AS VARCHAR) END AS "
    else:
        exact = f"TRY_CAST({given} AS "
    if sql_type.startswith("DECIMAL"):
        return f"{exact}{sql_type})"
    # A plain cast would round 12.7 to 13.
    decimal = f"{exact}DECIMAL(38,9))"
    return f"CASE WHEN {decimal} = trunc({decimal}) THEN TRY_CAST({decimal} AS {sql_type}) END"
