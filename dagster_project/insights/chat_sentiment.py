"""The audience's mood by minute, by product and by session, and the words that mark a highlight."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import duckdb

from dagster_project import beforehand
from dagster_project.insights.sentiment import DISPLEASED, PLEASED, Mood, kept_mood, trained_mood
from dagster_project.insights.tables import Table, affected_dates, create, fixed
from dagster_project.settings import REPOSITORY, Settings

MIN_MESSAGES = 10
SHOWN_LETTERS = 60
TERMS = 5
# Not beside a warehouse: a checkout makes the same model for all of them.
MODELS = REPOSITORY / ".models"
BATCH = 50_000  # distinct texts held and scored at a time

TABLE = Table(
    "chat_sentiment",
    "One row per session × minute (level minute), session × explained product (level product), and session (level session) with "
    "a chat message: how many take a side, and which.",
    [
        ("level", "varchar", "minute, product or session."),
        ("session_id", "varchar", "Live session (场次)."),
        ("room_id", "varchar", "Live room (直播间)."),
        ("business_date", "date", "Local date of the session's start."),
        ("minute", "bigint", "Whole minutes since the start; null on the other levels."),
        ("product_id", "varchar", "Product explained when it was said; null on the level session, or where none is."),
        ("messages", "bigint", "Chat messages with text (n)."),
        ("pleased", "bigint", "Messages scored 0.65 or more."),
        ("displeased", "bigint", "Messages scored 0.35 or less; the rest takes no side."),
        ("positive_share", "decimal(24,6)", "pleased / (pleased + displeased); null under 10 messages or without a side."),
        ("mean_score", "decimal(24,6)", "Mean score, 0 displeased to 1 pleased; null under 10 messages."),
        ("most_pleased", "varchar", "The most pleased message; ids and long numbers masked, 60 characters at most."),
        ("most_displeased", "varchar", "The most displeased message, likewise."),
        ("reason", "varchar", "Why a share is null."),
    ],
)


def write(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """The mood of the dates rebuilt tonight into insights.chat_sentiment, and top terms into scene_highlights."""
    if create(con, TABLE):
        dates = [
            day
            for (day,) in con.execute("select distinct business_date from core.fct_session order by 1").fetchall()
        ]
    else:
        dates = affected_dates(con)
    # A session that is gone or has moved leaves nothing behind, also on a night that affects today's dates only.
    con.execute(
        f"delete from {TABLE.path} where (session_id, business_date) not in "
        "(select (session_id, business_date) from core.fct_session)"
    )
    if dates:
        beforehand.wait_for("moods")
        _score_texts(con, dates, model_of_moods(settings))
        _summarise(con, dates)
        _write_terms(con)


def model_of_moods(settings: Settings) -> Mood:
    """The model that scores texts, trained once and kept in this checkout; beside the warehouse where that is read-only."""
    return trained_mood(*_places(settings))


def has_model_of_moods(settings: Settings) -> bool:
    """Whether model_of_moods only has to read it."""
    return kept_mood(*_places(settings)) is not None


def _places(settings: Settings) -> tuple[Path, Path]:
    return MODELS, settings.private / "models"


def masked(text: str) -> str:
    """A message fit to be shown: on one line, names after @ and long numbers masked, shortened."""
    text = re.sub(r"@\S+", "@…", re.sub(r"\s+", " ", text).strip())
    text = re.sub(r"[0-9A-Za-z_]*[0-9]{5,}[0-9A-Za-z_]*", "…", text)
    return text if len(text) <= SHOWN_LETTERS else text[: SHOWN_LETTERS - 1] + "…"


def _score_texts(con: duckdb.DuckDBPyConnection, dates: Sequence[object], mood: Mood) -> None:
    """A score for every distinct text of these dates, in the temporary table text_scores."""
    con.execute(
        "create or replace temporary table chat_lines as "
        "select events.session_id, sessions.room_id, sessions.business_date, events.text, "
        "(epoch_ms(greatest(sessions.started_at, least(events.event_at, sessions.ended_at - interval 1 millisecond))) "
        "- epoch_ms(sessions.started_at)) // 60000 as minute "
        "from staging.stg_viewer_events as events "
        "inner join core.fct_session as sessions on events.session_id = sessions.session_id "
        "where events.event_type = 'chat' and length(trim(events.text)) > 0 "
        "and list_contains(?::date[], sessions.business_date)",
        [list(dates)],
    )
    con.execute("create or replace temporary table text_scores (text varchar, score decimal(9, 6), shown varchar)")
    con.execute(
        "create or replace temporary table distinct_texts as "
        "select text, row_number() over () as place from (select distinct text from chat_lines)"
    )
    import pyarrow as pa

    first = 1
    while rows := con.execute(
        "select text from distinct_texts where place between ? and ?", [first, first + BATCH - 1]
    ).fetchall():
        first += BATCH
        batch = [text for (text,) in rows]
        scored = pa.table(
            {
                "text": batch,
                "score": [fixed(float(score)) for score in mood.score_chat(batch)],
                "shown": [masked(text) for text in batch],
            }
        )
        con.register("scored_texts", scored)
        con.execute("insert into text_scores select text, score::decimal(9, 6), shown from scored_texts")
        con.unregister("scored_texts")


def _summarise(con: duckdb.DuckDBPyConnection, dates: Sequence[object]) -> None:
    con.execute(f"delete from {TABLE.path} where list_contains(?::date[], business_date)", [list(dates)])
    said = (
        "select lines.*, scores.score, scores.shown, scene.product_id from chat_lines as lines "
        "inner join text_scores as scores on lines.text = scores.text "
        "left join core.fct_scene as scene on lines.session_id = scene.session_id and lines.minute = scene.minute"
    )
    for level, minute, product in (
        ("minute", "minute", "product_id"),
        ("product", "null", "product_id"),
        ("session", "null", "null"),
    ):
        where = "where product_id is not null" if level == "product" else ""
        con.execute(
            f"insert into {TABLE.path} "
            f"with said as ({said}), counted as ("
            f"select session_id, room_id, business_date, {minute}::bigint as minute, {product}::varchar as product_id, "
            f"count(*) as messages, count(*) filter (where score >= {PLEASED}) as pleased, "
            f"count(*) filter (where score <= {DISPLEASED}) as displeased, sum(score) as scores, "
            f"arg_max(shown, (score, shown)) filter (where score >= {PLEASED}) as most_pleased, "
            f"arg_min(shown, (score, shown)) filter (where score <= {DISPLEASED}) as most_displeased "
            f"from said {where} group by all) "
            f"select '{level}', session_id, room_id, business_date, minute, product_id, messages, pleased, displeased, "
            f"case when messages >= {MIN_MESSAGES} then round(pleased::double / nullif(pleased + displeased, 0), 6) end, "
            f"case when messages >= {MIN_MESSAGES} then round(scores::double / messages, 6) end, "
            "most_pleased, most_displeased, "
            f"case when messages < {MIN_MESSAGES} then 'fewer than {MIN_MESSAGES} messages' "
            "when pleased + displeased = 0 then 'no message takes a side' end from counted"
        )


def _write_terms(con: duckdb.DuckDBPyConnection) -> None:
    """The words said in a highlight's minute more often than elsewhere in its session; cut by jieba. Reads chat_lines."""
    # Highlights of other dates kept theirs.
    con.execute(
        "create or replace temporary table new_highlights as "
        "select distinct session_id, minute from insights.scene_highlights "
        "where business_date in (select business_date from intermediate.int_dates_affected)"
    )
    highlights = con.execute("from new_highlights order by 1, 2").fetchall()
    if not highlights:
        return
    con.execute(
        "create or replace temporary table highlight_lines as "
        "select session_id, minute, text, count(*) as said from chat_lines "
        "semi join new_highlights using (session_id) group by all"
    )
    texts = [text for (text,) in con.execute("select distinct text from highlight_lines").fetchall()]
    cut = [(text, word) for text in texts for word in words(text)]
    import pyarrow as pa

    kinds = pa.schema({"text": pa.string(), "word": pa.string()})
    con.register("cut_texts", pa.table({"text": [text for text, _ in cut], "word": [word for _, word in cut]}, kinds))
    # Of each word: how often in the minute of a highlight, and in the whole session.
    counts = con.execute(
        "with counted as (select session_id, minute, word, sum(said) as here from highlight_lines "
        "inner join cut_texts on highlight_lines.text = cut_texts.text group by all), "
        "whole as (select *, sum(here) over (partition by session_id, word) as whole, "
        "sum(here) over (partition by session_id) as all_said from counted) "
        "select session_id, minute, word, here::bigint, whole::bigint, all_said::bigint from whole "
        "semi join new_highlights on whole.session_id = new_highlights.session_id and whole.minute = new_highlights.minute"
    ).fetchall()
    con.unregister("cut_texts")
    said: dict[tuple[str, int], list[tuple[str, int, int, int]]] = {highlight: [] for highlight in highlights}
    for session, minute, *count in counts:
        said[session, minute].append(tuple(count))
    found = {
        "session_id": [session for session, _ in said],
        "minute": [minute for _, minute in said],
        "terms": [" ".join(top_terms(words_here)) for words_here in said.values()],
    }
    con.register("highlight_terms", pa.table(found))
    con.execute(
        "update insights.scene_highlights as highlights set top_terms = nullif(found.terms, '') "
        "from highlight_terms as found "
        "where highlights.session_id = found.session_id and highlights.minute = found.minute"
    )
    con.unregister("highlight_terms")


def words(text: str) -> tuple[str, ...]:
    """Words of two letters or more in a message, each once."""
    import jieba

    jieba.setLogLevel("ERROR")
    jieba.initialize()
    return tuple(sorted({word for word in jieba.lcut(masked(text)) if len(word) >= 2 and re.search(r"\w", word)}))


def top_terms(words_here: Sequence[tuple[str, int, int, int]]) -> Sequence[str]:
    """Up to five words said twice or more here, those first whose share here is furthest above the session's.

    words_here: of each word said in the minute, how often there, how often in the session, and all words of the session.
    """
    said = sum(here for _, here, _, _ in words_here)
    lifts = {
        word: here * math.log(here / said * all_said / whole) for word, here, whole, all_said in words_here if here >= 2
    }
    best = sorted((word for word in lifts if lifts[word] > 0), key=lambda word: (-round(lifts[word], 9), word))
    return best[:TERMS]
