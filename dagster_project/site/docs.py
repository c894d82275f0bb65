"""`make docs`: the guides, the KPI dictionary and dbt's pages on every table, static, in $DATA/docs."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from dagster_project.lock import run_lock
from dagster_project.reports.folder import replace_folder
from dagster_project.settings import REPOSITORY, UserError, settings_from_env
from dagster_project.site.build import weighed_roles
from dagster_project.site.pages import dictionary, site_environment
from dagster_project.warehouse.build import write_model_docs
from dagster_project.warehouse.publish import current_manifest

GUIDE_FOLDER = REPOSITORY / "docs"
# (file, zh, en) in the order in which they are needed.
GUIDES = (
    ("first-month", "第一个月", "Your first month"),
    ("own-exports", "自己的导出", "Your own exports"),
    ("policy", "规则指南", "Policy guide"),
    ("operating", "运维手册", "Operating guide"),
    ("cookbook", "分析师查询手册", "Analysts' cookbook"),
    ("landing", "落地：文件与行的结论", "Landing: verdicts of files and rows"),
    ("adapters", "平台导出的适配", "Adapters for platform exports"),
    ("insights", "洞察的方法与准确度", "Insights: methods and how well they do"),
)


def docs(environ: Mapping[str, str]) -> int:
    """Write $DATA/docs: the guides, kpis.html from the policy's registry, dbt.html from the built warehouse."""
    settings = settings_from_env(environ)
    manifest = current_manifest(settings.published)
    if manifest is None or not manifest.get("data_through"):
        raise UserError(f"nothing is published under {settings.published} yet: run `make scorecards` first")
    month = settings.month or str(manifest["data_through"])[:7]
    # dbt reads the catalogue of the private warehouse, which takes one process at a time.
    with run_lock(settings.private / "run.lock"):
        models = write_model_docs(settings).read_bytes()
    # Where the repository lies on the machine that made the page is nobody's business.
    models = models.replace(str(REPOSITORY).encode(), b".").replace(str(settings.data).encode(), b"$DATA")
    out = settings.data / "docs"
    pages = {"kpis.html": kpi_dictionary(settings.policy, month).encode(), "dbt.html": models}
    pages |= {path: page.encode() for path, page in guide_pages().items()}
    replace_folder(out, pages, private=False)
    print(out / "index.html")
    return 0


def guide_pages() -> dict[str, str]:
    """index.html and one page per guide of the folder docs/, in both languages where both are written."""
    environment = site_environment("CNY")
    context = {"guides": GUIDES, "provisional": False}
    pages = {"index.html": environment.get_template("guides.html.j2").render(page="index.html", **context)}
    for stem, zh, en in GUIDES:
        written = {"en": (GUIDE_FOLDER / f"{stem}.md").read_text(encoding="utf-8")}
        translated = GUIDE_FOLDER / f"{stem}.zh-CN.md"
        if translated.is_file():
            written["zh-CN"] = translated.read_text(encoding="utf-8")
        texts = {language: _from_markdown(text) for language, text in written.items()}
        pages[f"{stem}.html"] = environment.get_template("guide.html.j2").render(
            page=f"{stem}.html", title=f"{zh} {en}", texts=texts, **context
        )
    return pages


def _from_markdown(text: str) -> Markup:
    """A guide as HTML: raw HTML stays text, links lead to the other guides or are words only."""
    reader = MarkdownIt("js-default")
    tokens = reader.parse(text)
    for inline in (token for token in tokens if token.children):
        inline.children = _shown(inline.children or [])
    page = reader.renderer.render(tokens, reader.options, {})
    # What is wider than a phone scrolls by itself, also from the keyboard.
    page = page.replace("<pre>", '<pre tabindex="0">').replace("</table>", "</table></div>")
    return Markup(page.replace("<table>", '<div class="scroll" tabindex="0" role="group"><table>'))


def _shown(children: list[Token]) -> list[Token]:
    """What a line of a guide is made of, without links that lead out of the guides."""
    kept: list[Token] = []
    leads_on = True
    for child in children:
        if child.type == "link_open":
            stem = str(child.attrGet("href")).partition("#")[0].removesuffix(".md").removesuffix(".zh-CN")
            leads_on = any(stem == guide for guide, _, _ in GUIDES)
            child.attrSet("href", f"{stem}.html")
        # A line's end is a space in English and nothing between two Chinese characters.
        chinese_ends_line = child.type == "softbreak" and kept and not (kept[-1].content or "x")[-1].isascii()
        if not chinese_ends_line and (leads_on or child.type not in ("link_open", "link_close")):
            kept.append(child)
    return kept


def kpi_dictionary(policy_dir: Path, month: str) -> str:
    """The dictionary page: the registry of the policy folder, with the roles weighed in the month."""
    with (policy_dir / "kpis.csv").open(encoding="utf-8-sig", newline="") as lines:
        registry = {row["kpi_id"]: _typed(row) for row in csv.DictReader(lines)}
    page = site_environment("CNY").get_template("kpi_dictionary.html.j2")
    return page.render(page="kpis.html", provisional=False, **dictionary(registry, weighed_roles(policy_dir, month)))


def _typed(row: dict[str, str]) -> dict[str, Any]:
    """A row of kpis.csv as the published registry has it."""
    return {
        **row,
        "denominator": row["denominator"] or None,
        "factor": Decimal(row["factor"] or 1),
        "maturity_days": int(row["maturity_days"]),
        "min_base": int(row["min_base"]) if row["min_base"] else None,
    }
