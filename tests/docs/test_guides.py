"""What the guides promise is there: the links, the commands, the dictionary."""

from __future__ import annotations

import csv
import gzip
import re
import shutil
from pathlib import Path

import pytest

from dagster_project.cli import COMMANDS
from dagster_project.landing.contracts import CONTRACTS
from dagster_project.settings import DEMO_SECRET
from dagster_project.site.docs import kpi_dictionary
from dagster_project.warehouse.policy import read_policy
from tests.commands import start_here

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted([*(REPOSITORY / "docs").glob("*.md"), REPOSITORY / "README.md", REPOSITORY / "README.zh-CN.md"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_own_exports_lists_the_columns_of_every_contract():
    text = (REPOSITORY / "docs" / "own-exports.md").read_text("utf-8")
    for export, contract in CONTRACTS.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{export}`"))
        assert re.findall(r"(\w+)[*!?](?= |$)", row.split("|")[3].strip()) == [column.name for column in contract.columns], export


def test_the_policy_guide_names_the_columns_of_every_file():
    text = (REPOSITORY / "docs" / "policy.md").read_text("utf-8")
    for file in sorted((REPOSITORY / "dbt" / "seeds").glob("*.csv")):
        row = next(line for line in text.splitlines() if line.startswith(f"| `{file.name}`"))
        told = re.sub(r" \([^)]*\)", "", row.split("|")[3]).replace(" ", "").split(",")
        assert told == file.read_text("utf-8").splitlines()[0].split(","), file.name


def test_the_policy_guides_examples_pass_the_check(tmp_path):
    text = (REPOSITORY / "docs" / "policy.md").read_text("utf-8")
    fenced = re.findall(r"^```(\w*)\n(.+?)\n```$", text, re.M | re.S)
    examples = [example for language, example in fenced if language == ""]
    for file in (REPOSITORY / "dbt" / "seeds").glob("*.csv"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    for name, example in zip(("kpis.csv", "weight_overrides.csv"), examples, strict=True):
        with (tmp_path / name).open("a", encoding="utf-8") as lines:
            lines.write(example + "\n")
    read_policy(tmp_path)


def test_the_dictionary_holds_every_kpi_of_the_registry():
    page = kpi_dictionary(REPOSITORY / "dbt" / "seeds", "2026-10")
    rows = (REPOSITORY / "dbt" / "seeds" / "kpis.csv").read_text("utf-8").splitlines()[1:]
    assert all(f'id="{row.split(",")[0]}"' in page for row in rows)


@pytest.fixture(scope="module")
def made(sample_data, tmp_path_factory) -> Path:
    """$DATA/docs as `make docs` writes it."""
    copy = tmp_path_factory.mktemp("docs") / "data"
    copy.mkdir()
    for part in ("private", "published"):
        shutil.copytree(sample_data / part, copy / part, symlinks=True)
    done = start_here("docs", DATA=copy)
    assert (done.returncode, done.stdout.strip()) == (0, str(copy / "docs" / "index.html")), done.stderr
    return copy / "docs"


def test_make_docs_writes_the_dictionary_the_tables_and_the_guides(made):
    assert "fct_session" in (made / "dbt.html").read_text("utf-8")
    assert "指标词典" in (made / "kpis.html").read_text("utf-8")
    index = (made / "index.html").read_text("utf-8")
    for guide in ("first-month", "policy", "operating", "cookbook"):
        assert f'href="{guide}.html"' in index
    for page in made.glob("*.html"):
        if page.name != "dbt.html":
            for href in re.findall(r'<a href="([^"#]+)', page.read_text("utf-8")):
                assert (made / href).is_file(), (page.name, href)


def test_the_docs_hold_no_viewer_no_pay_no_secret_and_no_place_on_the_machine(made):
    text = "\n".join(page.read_text("utf-8") for page in made.glob("*.html"))
    with gzip.open(next((REPOSITORY / "data/sample/orders").glob("2026-10.csv.gz")), "rt", encoding="utf-8") as lines:
        viewers = {row["viewer_id"] for row in csv.DictReader(lines)}
    words = set(re.findall(r"\w+", text))
    assert len(viewers) > 500 and not viewers & words
    with next((REPOSITORY / "data/sample/staff").rglob("*.csv")).open(encoding="utf-8") as lines:
        staff = list(csv.DictReader(lines))
    assert not {row["name"] for row in staff} & words
    # Round sums stand everywhere; what a person is paid does not stand beside their id.
    assert not {row["staff_id"] for row in staff} & words - {"001001"}
    assert str(made.parent) not in text and str(REPOSITORY) not in text and DEMO_SECRET not in text


def test_a_guide_in_chinese_names_the_same_commands_files_and_columns():
    translated = sorted((REPOSITORY / "docs").glob("*.zh-CN.md"))
    assert {page.name for page in translated} >= {f"{guide}.zh-CN.md" for guide in ("first-month", "policy", "operating")}
    for page in translated:
        english = page.with_name(page.name.replace(".zh-CN", ""))
        codes = [sorted(set(re.findall(r"`[^`\n]+`", one.read_text("utf-8")))) for one in (page, english)]
        assert codes[0] == codes[1], page.name
        shape = [[line[:3].split(" ")[0] for line in one.read_text("utf-8").splitlines() if line[:1] in "#|"
                  and line[:1]] for one in (page, english)]  # fmt: skip
        assert shape[0] == shape[1], page.name


def test_the_two_readmes_agree_in_headings_commands_links_and_pictures():
    english, chinese = ((REPOSITORY / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md"))
    for pattern in (r"^(#+) ", r"(?:^|`)make [a-z]+(?: [A-Z]+=)*", r"!\[[^]]*\](\([^)]+\))", r"^(\|)"):
        assert re.findall(pattern, english, re.M) == re.findall(pattern, chinese, re.M), pattern
    links = [re.findall(r"\]\(([^)]+)\)", text)[1:] for text in (english, chinese)]
    assert links[0] == [link.replace(".zh-CN.md", ".md") for link in links[1]]


def test_every_command_of_the_guides_is_a_target():
    told = " ".join(page.read_text("utf-8") for page in PAGES)
    targets = set(re.search(r"^COMMANDS := ((?:.+\\\n)*.+)", (REPOSITORY / "Makefile").read_text("utf-8"), re.M).group(1).split())
    assert set(re.findall(r"`make (\w+)", told)) <= targets
    assert set(COMMANDS) | {"help"} <= targets
