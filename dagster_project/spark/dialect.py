"""A model's SQL, written for DuckDB, as Spark SQL of the same meaning.

sqlglot translates the grammar and the names; what stands here is where the two engines mean different things
by the same words: whole and fractional division, rounding, nulls in aggregates, ASOF joins, UNPIVOT, lists.
Read for the settings in dbt/profiles.yml (ANSI, UTC, no loss of decimal places).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import sqlglot
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.dialects.spark import Spark

# Functions of Spark that the translation writes. sqlglot passes on what it does not know: any other is DuckDB's alone.
WRITTEN = frozenset({
    "aggregate", "array_except", "array_sort", "bround", "collect_list", "element_at", "explode", "from_utc_timestamp", "get",
    "inline", "make_dt_interval", "max_by", "min_by", "named_struct", "percentile_disc", "size", "slice", "struct", "to_json",
    "transform", "typeof", "unix_micros", "unix_millis",
})  # fmt: skip


class Untranslatable(Exception):
    """SQL that has no counterpart here yet; the text says which."""


class _Read(DuckDB):
    """DuckDB, with names in backticks too: dbt quotes them for Spark."""

    class Tokenizer(DuckDB.Tokenizer):
        IDENTIFIERS = ['"', "`"]


def to_spark(sql: str) -> str:
    """One SELECT for DuckDB as one for Spark; raises Untranslatable, naming what."""
    try:
        tree = sqlglot.parse_one(sql, read=_Read)
    except sqlglot.errors.ParseError as error:
        raise Untranslatable(str(error).splitlines()[0]) from error
    for translate in (_inlined, _qualified, _unpivots, _asof_joins, _lateral_values, _unnested_tables):
        translate(tree)
    # From the leaves up, so that what is wrapped has been translated already.
    for node in reversed(list(tree.walk())):
        if (translation := _translation(node, tree)) is not None and translation is not node:
            node.replace(translation)
    left_over = {call.name.lower() for call in tree.find_all(exp.Anonymous)} - WRITTEN
    left_over |= {"columns(*)" for _ in tree.find_all(exp.Columns)}
    left_over |= {"* replace (…)" for star in tree.find_all(exp.Star) if star.args.get("replace")}
    # sqlglot would write `range(…)` that stands for a table as a function that Spark does not have.
    as_tables = (table.this for table in tree.find_all(exp.Table) if isinstance(table.this, exp.Func))
    left_over |= {f"{function.sql_name().lower()}(…) as a table" for function in as_tables}
    if left_over:
        raise Untranslatable(f"no Spark counterpart for {', '.join(sorted(left_over))}")
    return tree.sql(Spark, pretty=True)


# --- relations -----------------------------------------------------------------------------------------------


def _inlined(tree: exp.Expr) -> None:
    """`as not materialized` to nothing: Spark computes a common table expression anew wherever it is read."""
    for cte in tree.find_all(exp.CTE):
        cte.set("materialized", None)


def _qualified(tree: exp.Expr) -> None:
    """QUALIFY as a filter around the select: sqlglot's own way would leave its helper column in a `select *`."""
    for select in [one for one in tree.find_all(exp.Select) if one.args.get("qualify")]:
        inner = exp.Select(**{key: value for key, value in select.args.items() if key not in ("with_", "qualify")})
        inner = inner.select(exp.alias_(select.args["qualify"].this, "is_qualified"), copy=False)
        kept = exp.select(exp.Star(except_=[exp.to_identifier("is_qualified")]))
        kept = kept.from_(inner.subquery("qualified", copy=False), copy=False).where(exp.column("is_qualified"), copy=False)
        for key in [key for key in select.args if key != "with_"]:
            select.set(key, None)
        for key, value in kept.args.items():
            if value:
                select.set(key, value)


def _unpivots(tree: exp.Expr) -> None:
    """`unpivot (…) on columns(…)` to the standard's FROM … UNPIVOT, its columns by name."""
    for pivot in list(tree.find_all(exp.Pivot)):
        if not pivot.args.get("unpivot") or not isinstance(pivot.this, exp.Subquery):
            continue
        inner = pivot.this.this
        _expand_columns(inner, tree)
        names = inner.named_selects
        measures = list(_chosen(pivot.expressions, names))
        into = pivot.args["into"]
        standard = sqlglot.parse_one(
            f"select * from ({inner.sql(_Read)}) as wide "
            f"unpivot ({into.expressions[0].sql(_Read)} for {into.this.sql(_Read)} in ({', '.join(measures)}))",
            read=_Read,
        )
        pivot.replace(standard)


def _expand_columns(select: exp.Select, tree: exp.Expr) -> None:
    """`cast(columns(* exclude (…)) as t)` to one cast per column of the common table expression it reads."""
    expressions = []
    for projection in select.expressions:
        chosen = projection.find(exp.Columns)
        if chosen is None:
            expressions.append(projection)
            continue
        read = select.find(exp.Table)
        source = next((cte for cte in tree.find_all(exp.CTE) if read and cte.alias == read.name), None)
        if source is None:
            raise Untranslatable(f"columns(*) of {read.name if read else 'nothing'}, which is no CTE of the model")
        for name in _chosen([chosen], _column_names(source.this, tree)):
            one = projection.copy()
            one.find(exp.Columns).replace(exp.column(name))
            expressions.append(exp.alias_(one, name))
    select.set("expressions", expressions)


def _column_names(select: exp.Query, tree: exp.Expr) -> list[str]:
    """The columns of a common table expression, a `*` in it looked up in the ones before."""
    names: list[str] = []
    for projection in select.selects:
        star = projection if isinstance(projection, exp.Star) else projection.this
        if not isinstance(star, exp.Star):
            names.append(projection.alias_or_name)
            continue
        sources = {table.alias_or_name: table.name for table in select.find_all(exp.Table)}
        wanted = [sources[projection.table]] if isinstance(projection, exp.Column) else list(sources.values())
        excluded = {column.name for column in star.args.get("except_") or []}
        for table in wanted:
            source = next((cte for cte in tree.find_all(exp.CTE) if cte.alias == table), None)
            if source is None:
                raise Untranslatable(f"the columns of * from {table}, which is no CTE of the model, in an unpivot")
            names += [name for name in _column_names(source.this, tree) if name not in excluded]
    return names


def _chosen(expressions: list[exp.Expr], names: list[str]) -> Iterator[str]:
    for expression in expressions:
        if isinstance(expression, exp.Columns):
            excluded = {column.name for column in expression.this.args.get("except_") or []}
            yield from (name for name in names if name not in excluded)
        else:
            yield expression.name


def _asof_joins(tree: exp.Expr) -> None:
    """`asof join b on a.k = b.k and a.t >= b.t` to a join of each row's span: from its own t until the next one's."""
    for join in list(tree.find_all(exp.Join)):
        if join.method != "ASOF":
            continue
        right = join.this
        alias = right.alias_or_name
        conditions = list(join.args["on"].flatten()) if isinstance(join.args["on"], exp.And) else [join.args["on"]]
        ordered = [one for one in conditions if isinstance(one, exp.GTE | exp.GT)]
        keys = [one for one in conditions if isinstance(one, exp.EQ)]
        if len(ordered) != 1 or len(keys) != len(conditions) - 1:
            raise Untranslatable(f"asof join with {alias}: one comparison and equalities are read")
        since = ordered[0].expression
        by = [side.name for key in keys for side in (key.this, key.expression) if side.table == alias]
        name = f"{since.name}_until"
        spans = sqlglot.parse_one(
            f"select *, lead({since.name}) over (partition by {', '.join(by)} order by {since.name}) as {name} "
            f"from {exp.Table(this=right.this, db=right.args.get('db'), catalog=right.args.get('catalog')).sql(_Read)}",
            read=_Read,
        )
        until = exp.column(name, table=alias)
        before = exp.LT if isinstance(ordered[0], exp.GTE) else exp.LTE
        not_over = exp.Or(
            this=exp.Is(this=until, expression=exp.Null()),
            expression=before(this=ordered[0].this.copy(), expression=until.copy()),
        )
        join.set("method", None)
        join.set("this", exp.Subquery(this=spans, alias=exp.TableAlias(this=exp.to_identifier(alias))))
        join.set("on", exp.and_(*conditions, exp.Paren(this=not_over)))


def _lateral_values(tree: exp.Expr) -> None:
    """`lateral (values (…), …) as t (a, b)` to inline() of structs, since Spark's VALUES take no outer columns."""
    for lateral in list(tree.find_all(exp.Lateral)):
        values = lateral.find(exp.Values)
        alias = lateral.args.get("alias")
        if values is None or alias is None:
            continue
        names = [column.name for column in alias.columns]
        structs = [_struct(zip(names, row.expressions, strict=True)) for row in values.expressions]
        lateral.set("this", exp.Anonymous(this="INLINE", expressions=[exp.Array(expressions=structs)]))


def _struct(fields: object) -> exp.Anonymous:
    arguments: list[exp.Expr] = []
    for name, value in fields:  # type: ignore[attr-defined]
        arguments += [exp.Literal.string(name), value]
    return exp.Anonymous(this="NAMED_STRUCT", expressions=arguments)


def _unnested_tables(tree: exp.Expr) -> None:
    """`cross join unnest(list) as t (a)` to a lateral explode."""
    for unnest in list(tree.find_all(exp.Unnest)):
        if isinstance(unnest.parent, exp.Join):
            exploded = exp.Anonymous(this="EXPLODE", expressions=[unnest.expressions[0]])
            unnest.replace(exp.Lateral(this=exploded, alias=unnest.args.get("alias")))


# --- expressions ---------------------------------------------------------------------------------------------


def _translation(node: exp.Expr, tree: exp.Expr) -> exp.Expr | None:
    """What stands for a node, its parts being translated already; None where it stays as it is."""
    translate = TRANSLATIONS.get(type(node))
    if translate is not None:
        return translate(node, tree)
    if isinstance(node, exp.Anonymous) and (call := CALLS.get(node.name.lower())) is not None:
        return call(node, tree)
    return None


def _data_type(node: exp.DataType, tree: exp.Expr) -> exp.Expr | None:
    if node.this == exp.DataType.Type.INT128:
        return exp.DataType.build("decimal(38, 0)", dialect=_Read)
    if node.this in (exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ):
        return exp.DataType(this=exp.DataType.Type.TIMESTAMPTZ)
    return None


def _fraction(node: exp.Div, tree: exp.Expr) -> exp.Expr:
    """DuckDB's / is one of doubles, whatever it divides."""
    return exp.Div(this=_double(node.this), expression=_double(node.expression), typed=False, safe=False)


def _whole_quotient(node: exp.IntDiv, tree: exp.Expr) -> exp.Expr:
    """// of whole numbers of any width, cut towards zero; Spark's div ends at 64 bits, so it serves small divisors only."""
    divisor = node.expression
    if isinstance(divisor, exp.Literal) and int(divisor.this) < 2**31:
        return exp.IntDiv(this=_grouped(node.this), expression=divisor)
    above, below = (_cast(side, "decimal(38, 0)") for side in (node.this, divisor))
    rest = exp.Mod(this=above.copy(), expression=below.copy())
    whole = exp.Paren(this=exp.Sub(this=above, expression=exp.Paren(this=rest)))
    return _cast(exp.Div(this=whole, expression=below, typed=True, safe=False), "decimal(38, 0)")


def _rounded(node: exp.Cast, tree: exp.Expr) -> exp.Expr | None:
    """`cast(round(x, n) as decimal)`: DuckDB rounds a double by its scaled value, Spark by its shortest text."""
    rounding = node.this
    if not isinstance(rounding, exp.Round) or rounding.args.get("decimals") is None:
        return None
    x, decimals = rounding.this, int(rounding.args["decimals"].name)
    scale = _cast(exp.Literal.number(10**decimals), "double")
    of_double = exp.Div(
        this=exp.Round(this=exp.Mul(this=_grouped(x), expression=scale)),
        expression=scale.copy(),
        typed=True,
        safe=False,
    )
    if _kind(x, tree) == "decimal":
        return None
    as_double = exp.Cast(this=of_double, to=node.args["to"].copy())
    if _kind(x, tree) == "double":
        return as_double
    is_double = exp.EQ(this=exp.Anonymous(this="TYPEOF", expressions=[x.copy()]), expression=exp.Literal.string("double"))
    return exp.If(this=is_double, true=as_double, false=node.copy())


def _instant_in_ms(node: exp.UnixToTime, tree: exp.Expr) -> exp.Expr:
    """sqlglot reads epoch_ms as number → instant; the models ask for the number."""
    return exp.Anonymous(this="UNIX_MILLIS", expressions=[node.this])


def _instant_in_us(node: exp.Anonymous, tree: exp.Expr) -> exp.Expr:
    """sqlglot does not know epoch_us."""
    return exp.Anonymous(this="UNIX_MICROS", expressions=node.expressions)


def _arg_extreme(node: exp.ArgMin | exp.ArgMax, tree: exp.Expr) -> exp.Expr:
    """DuckDB's arg_min passes over rows whose value is null; Spark's min_by would return that null."""
    key = node.expression
    if isinstance(key, exp.Tuple):
        key = exp.Anonymous(this="STRUCT", expressions=key.expressions)
    name = "MIN_BY" if isinstance(node, exp.ArgMin) else "MAX_BY"
    call = exp.Anonymous(this=name, expressions=[node.this, key])
    known = exp.not_(exp.Is(this=node.this.copy(), expression=exp.Null()))
    if isinstance(node.parent, exp.Filter):
        condition = node.parent.expression
        condition.set("this", exp.and_(condition.this, known))
        return call
    return exp.Filter(this=call, expression=exp.Where(this=known))


def _list(node: exp.ArrayAgg, tree: exp.Expr) -> exp.Expr:
    """A list in an order of its own; an unordered one needs none (they are sorted, counted or asked for members)."""
    ordered = node.this
    if not isinstance(ordered, exp.Order):
        return exp.Anonymous(this="COLLECT_LIST", expressions=[ordered])
    key = exp.Anonymous(
        this="STRUCT", expressions=[*(one.this for one in ordered.expressions), exp.alias_(ordered.this, "member")]
    )
    pairs = exp.Anonymous(this="ARRAY_SORT", expressions=[exp.Anonymous(this="COLLECT_LIST", expressions=[key])])
    return exp.Anonymous(this="TRANSFORM", expressions=[pairs, _lambda("pair -> pair.member")])


def _list_reduced(node: exp.Anonymous, tree: exp.Expr) -> exp.Expr:
    members, step = node.expressions
    first = exp.Anonymous(this="ELEMENT_AT", expressions=[members, exp.Literal.number(1)])
    rest = exp.Anonymous(
        this="SLICE",
        expressions=[members.copy(), exp.Literal.number(2), exp.Anonymous(this="SIZE", expressions=[members.copy()])],
    )
    return exp.Anonymous(this="AGGREGATE", expressions=[rest, first, step])


def _has_all(node: exp.Anonymous, tree: exp.Expr) -> exp.Expr:
    all_of_them, wanted = node.expressions
    missing = exp.Anonymous(this="ARRAY_EXCEPT", expressions=[wanted, all_of_them])
    return exp.Paren(this=exp.EQ(this=exp.Anonymous(this="SIZE", expressions=[missing]), expression=exp.Literal.number(0)))


def _median(node: exp.Median, tree: exp.Expr) -> exp.Expr | None:
    if _kind(node.this, tree) != "decimal":
        return None
    return _middle(exp.Anonymous(this="COLLECT_LIST", expressions=[node.this]))


def _list_median(node: exp.Anonymous, tree: exp.Expr) -> exp.Expr:
    return _middle(node.expressions[0])


def _middle(members: exp.Expr) -> exp.Expr:
    """The median of decimals of 6 places, itself one: half the gap between the two in the middle is cut at 6 places."""
    low = "get(array_sort(m), (size(m) - 1) div 2)"
    high = "get(array_sort(m), size(m) div 2)"
    middle = sqlglot.parse_one(
        f"cast({low} + cast(floor(({high} - {low}) * 500000) as decimal(38, 0)) * cast(0.000001 as decimal(6, 6))"
        " as decimal(38, 6))",
        read=Spark,
    )
    for column in list(middle.find_all(exp.Column)):
        column.replace(members.copy())
    return middle


def _length(node: exp.Length, tree: exp.Expr) -> exp.Expr | None:
    """len() of a list; of a text it stays."""
    aliases = _aliases(node.this.name, tree)
    if aliases and all(alias.find(exp.ArrayAgg) or "COLLECT_LIST" in alias.sql() for alias in aliases):
        return exp.Anonymous(this="SIZE", expressions=[node.this])
    return None


def _exploded(node: exp.Explode, tree: exp.Expr) -> exp.Expr:
    """unnest in a select list: structs, unnested to their fields, by inline; anything else by explode."""
    name = "INLINE" if node.expressions else "EXPLODE"
    return exp.Anonymous(this=name, expressions=[node.this])


def _series(node: exp.GenerateSeries, tree: exp.Expr) -> exp.Expr | None:
    """An empty series where it would run backwards, which Spark refuses."""
    if node.args.get("is_end_exclusive") or isinstance(node.parent, exp.If):
        return None
    sequence = node.copy()
    forwards = exp.LTE(this=node.args["start"].copy(), expression=node.args["end"].copy())
    return exp.If(this=forwards, true=sequence, false=exp.Array(expressions=[]))


def _sign(node: exp.Sign, tree: exp.Expr) -> exp.Expr | None:
    return None if isinstance(node.parent, exp.Cast) and node.arg_key == "this" else _cast(node.copy(), "int")


def _json(node: exp.Anonymous, tree: exp.Expr) -> exp.Expr:
    options = sqlglot.parse_one("map('ignoreNullFields', 'false')", read=Spark)
    return exp.Anonymous(this="TO_JSON", expressions=[node.expressions[0], options])


def _minutes(node: exp.Anonymous, tree: exp.Expr) -> exp.Expr:
    zero = exp.Literal.number(0)
    return exp.Anonymous(this="MAKE_DT_INTERVAL", expressions=[zero, zero.copy(), _cast(node.expressions[0], "int")])


def _rounded_to_even(node: exp.Anonymous, tree: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this="BROUND", expressions=node.expressions)


def _local_time(node: exp.Anonymous, tree: exp.Expr) -> exp.Expr | None:
    """`timezone(zone, timezone('UTC', instant))`: the local clock of an instant in UTC."""
    zone, instant = node.expressions
    if isinstance(instant, exp.Anonymous) and instant.name.lower() == "timezone":
        return exp.Anonymous(this="FROM_UTC_TIMESTAMP", expressions=[instant.expressions[1], zone])
    return None


def _named_window(node: exp.Window, tree: exp.Expr) -> exp.Expr | None:
    """Spark reads `over w - 1` as a window named w-1."""
    if not node.args.get("alias") or not isinstance(node.parent, exp.Binary):
        return None
    return exp.Paren(this=node.copy())


def _percentile(node: exp.PercentileDisc, tree: exp.Expr) -> exp.Expr:
    order = exp.Order(expressions=[exp.Ordered(this=node.this)])
    return exp.WithinGroup(this=exp.Anonymous(this="PERCENTILE_DISC", expressions=[node.expression]), expression=order)


Translation = Callable[..., exp.Expr | None]
TRANSLATIONS: dict[type[exp.Expr], Translation] = {
    exp.ArgMax: _arg_extreme,
    exp.ArgMin: _arg_extreme,
    exp.ArrayAgg: _list,
    exp.Cast: _rounded,
    exp.DataType: _data_type,
    exp.Div: _fraction,
    exp.Explode: _exploded,
    exp.GenerateSeries: _series,
    exp.IntDiv: _whole_quotient,
    exp.Length: _length,
    exp.Median: _median,
    exp.PercentileDisc: _percentile,
    exp.Sign: _sign,
    exp.UnixToTime: _instant_in_ms,
    exp.Window: _named_window,
}
CALLS: dict[str, Translation] = {
    "epoch_us": _instant_in_us,
    "list_has_all": _has_all,
    "list_median": _list_median,
    "list_reduce": _list_reduced,
    "round_even": _rounded_to_even,
    "timezone": _local_time,
    "to_json": _json,
    "to_minutes": _minutes,
}


# --- what an expression is -----------------------------------------------------------------------------------

_DOUBLES = (exp.Sqrt, exp.Pow, exp.Div)
_SAME_AS_PARTS = (
    exp.Abs, exp.Add, exp.Coalesce, exp.Filter, exp.Greatest, exp.Least, exp.Max, exp.Min, exp.Mul, exp.Neg, exp.Paren, exp.Sub,
    exp.Sum, exp.Window,
)  # fmt: skip


def _kind(node: exp.Expr, tree: exp.Expr, seen: frozenset[str] = frozenset()) -> str:
    """'double', 'decimal', 'whole' or 'unknown', as far as the statement itself tells."""
    if isinstance(node, exp.Cast | exp.TryCast):
        if node.to.this == exp.DataType.Type.DOUBLE:
            return "double"
        return "decimal" if node.to.this == exp.DataType.Type.DECIMAL else "whole"
    if isinstance(node, _DOUBLES):
        return "double"
    if isinstance(node, exp.Literal):
        return "whole" if node.is_int else "decimal"
    if isinstance(node, exp.Count):
        return "whole"
    if isinstance(node, exp.Column) and node.name not in seen:
        found = {_kind(alias.this, tree, seen | {node.name}) for alias in _aliases(node.name, tree)}
        return found.pop() if len(found) == 1 else "unknown"
    if isinstance(node, exp.Filter | exp.Window):
        return _kind(node.this, tree, seen)
    if isinstance(node, _SAME_AS_PARTS):
        parts = [_kind(part, tree, seen) for part in [node.this, node.args.get("expression"), *node.expressions] if part]
        for kind in ("double", "unknown", "decimal"):
            if kind in parts:
                return kind
        return "whole"
    return "unknown"


def _aliases(name: str, tree: exp.Expr) -> list[exp.Alias]:
    return [alias for alias in tree.find_all(exp.Alias) if alias.alias == name]


# --- small pieces --------------------------------------------------------------------------------------------


def _cast(node: exp.Expr, data_type: str) -> exp.Cast:
    return exp.Cast(this=node, to=exp.DataType.build(data_type, dialect=_Read))


def _double(node: exp.Expr) -> exp.Expr:
    is_one = isinstance(node, exp.Cast) and node.to.this == exp.DataType.Type.DOUBLE
    return node if is_one else _cast(node, "double")


def _grouped(node: exp.Expr) -> exp.Expr:
    return exp.Paren(this=node) if isinstance(node, exp.Binary) else node


def _lambda(text: str) -> exp.Expr:
    return sqlglot.parse_one(f"transform(m, {text})", read=Spark).expression
