"""Reading what is published: the SQL prompt, and the one file to carry away."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from dagster_project.settings import Settings, UserError, connect, settings_from_env
from dagster_project.warehouse.parts import without_wildcards
from dagster_project.warehouse.publish import MARTS_SCHEMAS, current_snapshot, write_database

ROWS_SHOWN = 200
CELL_WIDTH = 60
HELP = """
Type SQL and press Enter; Tab completes tables and columns. The marts are read-only.

  .tables          every table with what a row of it is
  .tables core     those of one schema: core, funnel, kpis, insights, audit
  .columns core.fct_session
  .help  .quit

Examples (twenty more in docs/cookbook.md)
  select room_id, month, sum(gmv) as gmv from core.fct_session group by all order by all
  select kpi_id, value, reason from kpis.kpi_month where subject_id = '0071' and month = '2026-10'
  select product_id, click_rate, units_per_click from funnel.product_funnel_month order by gmv desc limit 10
  select region, stall_rate, viewers from insights.quality_by_region order by stall_rate desc limit 10
"""


def query(environ: Mapping[str, str]) -> int:
    """`make query`: SQL=… runs one statement, without it a prompt reads them until Ctrl-D."""
    settings = settings_from_env(environ)
    with published_marts(settings) as con:
        if environ.get("SQL"):
            _answer(con, environ["SQL"])
            return 0
        for statement in _statements(con):
            if statement in (".quit", ".exit"):
                return 0
            try:
                _told(con, statement) if statement.startswith(".") else _answer(con, statement)
            except UserError as error:
                print(f"error: {error}", file=sys.stderr)
    return 0


def export(environ: Mapping[str, str]) -> int:
    """`make export`: all marts of the published snapshot in one DuckDB file that needs nothing beside it."""
    settings = settings_from_env(environ)
    snapshot = current_snapshot(settings.published)
    named = environ.get("OUT")
    out = Path(named).expanduser().absolute() if named else settings.data / f"marts-{snapshot.name}.duckdb"
    if out.exists():
        raise UserError(f"{out} is there already: remove it or give another OUT")
    if not out.parent.is_dir():
        raise UserError(f"the folder {out.parent} does not exist: make it or give another OUT")
    beside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    con = connect(":memory:", settings)
    try:
        con.execute(f"attach '{str(snapshot / 'marts.duckdb').replace(chr(39), chr(39) * 2)}' as marts (read_only)")
        con.execute("use marts")
        write_database(con, beside, MARTS_SCHEMAS, 0o640)
        os.rename(beside, out)
    finally:
        con.close()
        beside.unlink(missing_ok=True)
    print(out)
    return 0


@contextmanager
def published_marts(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection on the published marts that reaches no other file.

    Folders inside the snapshot hold data of its views; pay lies beside them, at the top, and is out of reach.
    """
    snapshot = current_snapshot(settings.published)
    con = connect(snapshot / "marts.duckdb", settings, read_only=True)
    try:
        # The parts alone, spelt as the views of this very snapshot spell them: a pattern where the path has wildcards in it.
        parts = [path for path in snapshot.iterdir() if path.is_dir()]
        con.execute("set allowed_directories = ?", [[*map(str, parts), *map(without_wildcards, parts)]])
        con.execute("set enable_external_access = false")
        con.execute("set lock_configuration = true")
        yield con
    finally:
        con.close()


def _statements(con: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """Statements typed at a prompt, or lines of a pipe."""
    if not sys.stdin.isatty():
        yield from filter(None, (part.strip() for part in sys.stdin.read().split(";\n")))
        return
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import FuzzyCompleter, WordCompleter
    from prompt_toolkit.lexers import PygmentsLexer
    from pygments.lexers.sql import SqlLexer

    # `.` belongs to a word, so that core.f finds core.fct_session.
    words = completions(con)
    completer = FuzzyCompleter(WordCompleter(list(words), meta_dict=words), pattern=r"^[A-Za-z0-9_.]+")
    session: PromptSession[str] = PromptSession(lexer=PygmentsLexer(SqlLexer), completer=completer)
    print("SQL on the published marts; .help shows examples, Tab completes, Ctrl-D ends.")
    while True:
        try:
            text = session.prompt("marts> ").strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if text:
            yield text


def completions(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """What the prompt completes: tables, columns and the prompt's own commands, each with what it is."""
    words = dict.fromkeys((".help", ".tables", ".columns", ".quit"), "") | {name: comment or "" for name, comment in _tables(con)}
    columns = con.execute("select column_name, any_value(comment) from duckdb_columns() where not internal group by 1 order by 1")
    return words | {name: comment or "" for name, comment in columns.fetchall()}


def _tables(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str | None]]:
    """schema.table and what a row of it is; tables by date are views of their parts."""
    return con.execute(
        "select schema_name || '.' || table_name, comment from duckdb_tables() union all "
        "select schema_name || '.' || view_name, comment from duckdb_views() where not internal order by 1"
    ).fetchall()


def _told(con: duckdb.DuckDBPyConnection, command: str) -> None:
    """The prompt's own commands, which begin with a dot."""
    name, _, asked = command.rstrip(";").partition(" ")
    if name == ".help":
        print(HELP.strip("\n"))
    elif name == ".tables":
        of_schema = [row for row in _tables(con) if asked.strip() in ("", row[0].partition(".")[0])]
        counts = [con.execute(f"select count(*) from {name}").fetchall()[0][0] for name, _ in of_schema]
        rows = [(name, count, comment) for (name, comment), count in zip(of_schema, counts, strict=True)]
        print(as_table(["table", "rows", "a row is"], rows))
    elif name == ".columns":
        found = con.execute(
            'select column_name as "column", data_type as type, comment as meaning from duckdb_columns() '
            "where schema_name || '.' || table_name = ? order by column_index",
            [asked.strip()],
        )
        columns = found.fetchall()
        if not columns:
            raise UserError(f"there is no table {asked.strip()!r}: .tables lists them")
        print(as_table(["column", "type", "meaning"], columns))
    else:
        raise UserError(f"{name} is no command of this prompt: .help lists them")


def _answer(con: duckdb.DuckDBPyConnection, text: str) -> None:
    try:
        # All are looked at before the first one runs.
        statements = con.extract_statements(text)
        for statement in statements:
            _refuse_other_than_reading(con, statement)
        for statement in statements:
            result = con.execute(statement)
            if _is_type_of_a_pivot(statement):
                continue
            names = [column[0] for column in result.description or []]
            rows = result.fetchmany(ROWS_SHOWN + 1)
            print(as_table(names, rows[:ROWS_SHOWN]))
            if len(rows) > ROWS_SHOWN:
                print(f"(the first {ROWS_SHOWN} rows; add a limit or an aggregate)")
    except duckdb.Error as error:
        raise UserError(str(error).splitlines()[0]) from None


def _refuse_other_than_reading(con: duckdb.DuckDBPyConnection, statement: duckdb.Statement) -> None:
    """Raises UserError for a statement that could write a file, attach one or change a setting.

    The database is read-only already, yet COPY and ATTACH would still reach the folders of the snapshot.
    """
    # PIVOT is of type MULTI; EXPLAIN ANALYZE runs what it explains, so that is looked at in turn.
    if statement.type == duckdb.StatementType.EXPLAIN:
        explained = re.sub(r"^\s*explain\b(\s+analyze\b)?(\s*\([^)]*\))?", "", statement.query, flags=re.IGNORECASE)
        for inner in con.extract_statements(explained):
            _refuse_other_than_reading(con, inner)
    elif statement.type not in (duckdb.StatementType.SELECT, duckdb.StatementType.MULTI) and not _is_type_of_a_pivot(statement):
        raise UserError(
            f"{statement.type.name} is refused: this prompt only reads (SELECT, FROM, WITH, PIVOT, DESCRIBE, SUMMARIZE, EXPLAIN)"
        )


def _is_type_of_a_pivot(statement: duckdb.Statement) -> bool:
    """DuckDB 1.5 takes PIVOT apart into a temporary type and a SELECT, both without text; what a person types has text."""
    return statement.type == duckdb.StatementType.CREATE and not statement.query


def as_table(names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows in columns for a terminal; control characters of outside text are shown, never obeyed."""
    from prompt_toolkit.utils import get_cwidth

    cells = [[_cell(value) for value in row] for row in [names, *rows]]
    widths = [max(get_cwidth(row[column]) for row in cells) for column in range(len(names))]
    return "\n".join(
        "  ".join(text + " " * (width - get_cwidth(text)) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def _cell(value: object) -> str:
    text = "".join(
        character if character.isprintable() else f"\\x{ord(character):02x}"
        for character in ("" if value is None else str(value))
    )
    return text if len(text) <= CELL_WIDTH else text[: CELL_WIDTH - 1] + "…"
