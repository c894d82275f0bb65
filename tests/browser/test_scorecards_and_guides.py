"""The scorecard folder and the pages of `make docs` in a browser: quiet, accessible, on a phone and on paper."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import MONTH

from dagster_project.site.docs import guide_pages, kpi_dictionary

POLICY = Path(__file__).resolve().parents[2] / "dbt" / "seeds"


@pytest.fixture(scope="module")
def pages(sample_data, tmp_path_factory) -> list[Path]:
    """One page of each kind."""
    cards = sample_data / "scorecards" / MONTH
    guides = tmp_path_factory.mktemp("docs")
    for name, text in {**guide_pages(), "kpis.html": kpi_dictionary(POLICY, MONTH)}.items():
        (guides / name).write_text(text, encoding="utf-8")
    kinds = [sorted((cards / kind).glob("*.html"))[0] for kind in ("staff", "rooms")]
    named = [cards / "index.html", cards / "managers.html", *(guides / f"{name}.html" for name in ("index", "policy", "kpis"))]
    return [*named, *kinds]


def test_pages_are_quiet_fit_a_phone_and_load_nothing(pages, browser):
    browser.size(390, 844)
    for page in pages:
        browser.open(page.as_uri())
        assert browser.run("document.documentElement.scrollWidth") <= 390, page.name
    assert browser.messages == []
    assert set(browser.requests) - {"about:blank", "data:,"} == {page.as_uri() for page in pages}


def test_axe_finds_no_fault(pages, browser, faults):
    for page in pages:
        assert faults(browser, page) == [], page.name


def test_a_scorecard_prints_without_its_switch(pages, browser):
    browser.open(pages[-2].as_uri())
    browser.on_paper()
    assert browser.run("[...document.querySelectorAll('.languages')].filter(e => e.getClientRects().length).length") == 0
    assert browser.pdf().startswith(b"%PDF")


def test_axe_would_see_a_fault(browser, faults, tmp_path):
    page = tmp_path / "faulty.html"
    page.write_text("<!doctype html><html lang=en><title>x</title><main><h1>x</h1><img src='data:,'></main>", encoding="utf-8")
    assert [rule for rule, _ in faults(browser, page)] == ["image-alt"]
