"""Numbers flow one way: exports → landing → staging → intermediate → marts → scorecards → published.

A new reader finds any number's origin by following folders, so a reference against the flow is a defect.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
MODELS = REPOSITORY / "dbt" / "models"

# A model may read its own layer and these.
READS = {
    "staging": {"raw"},
    "intermediate": {"staging", "raw", "policy"},
    "marts": {"intermediate", "raw", "policy"},
    "scorecards": {"marts", "intermediate", "staging", "policy", "appraisal_state"},
}
# Of raw itself, a layer after staging may read only the ledger: what landed from where, and what changed.
LEDGER = {"files", "quarantine", "changes", "viewers"}
# Who may import whom inside dagster_project: a module imports only its own folder and ones before it.
ORDER = [
    {"settings", "lock", "alerts", "beforehand", "loading"},
    {"landing", "simulator"},
    {"warehouse", "audit", "spark"},
    {"reports", "insights", "site"},
    {"run", "appraisal"},
    {"definitions", "web"},
    {"job"},
    {"cli"},
]
# Dagster wires the steps of the job, so these two see what they wire.
WIRING = {"warehouse/dagster_assets.py", "warehouse/dagster_dates.py", "warehouse/dagster_sensor.py"}

models = sorted(MODELS.glob("**/*.sql"))
modules = sorted((REPOSITORY / "dagster_project").glob("**/*.py"))


def layer_of(model: Path) -> str:
    return model.relative_to(MODELS).parts[0]


LAYER_BY_NAME = {model.stem: layer_of(model) for model in models}


def references(sql: str) -> list[tuple[str, str]]:
    """(layer or source, table) of every ref() and source() in a model."""
    found = [
        (LAYER_BY_NAME.get(name, f"no model {name}"), name)
        for name in re.findall(r"ref\(\s*['\"](\w+)['\"]\s*\)", sql)
    ]
    return found + re.findall(r"source\(\s*['\"](\w+)['\"]\s*,\s*['\"](\w+)['\"]\s*\)", sql)


@pytest.mark.parametrize("model", models, ids=lambda model: model.stem)
def test_a_model_reads_only_its_own_or_an_earlier_layer(model):
    layer = layer_of(model)
    for read, table in references(model.read_text(encoding="utf-8")):
        assert read == layer or read in READS[layer], f"{model.stem} ({layer}) reads {read}.{table}"
        if read == "raw" and layer != "staging":
            assert table in LEDGER, f"{model.stem} ({layer}) reads raw rows of {table}: staging is the way"


@pytest.mark.parametrize("model", models, ids=lambda model: model.stem)
def test_a_model_names_tables_only_through_ref_and_source(model):
    sql = re.sub(r"--.*|\{#.*?#\}", "", model.read_text(encoding="utf-8"))
    named = re.findall(
        r"\b(?:from|join)\s+(raw|policy|staging|intermediate|core|funnel|kpis|scorecards)\.(\w+)", sql
    )
    assert not named


@pytest.mark.parametrize("model", models, ids=lambda model: model.stem)
def test_a_model_says_in_its_first_line_what_a_row_is(model):
    assert model.read_text(encoding="utf-8").startswith("-- One row ")


def test_a_model_against_the_flow_would_be_seen():
    found = references("select * from {{ ref('stg_orders') }} join {{ source('raw', 'orders') }} using (x)")
    assert found == [("staging", "stg_orders"), ("raw", "orders")]
    assert "staging" not in READS["marts"]


def rank(module: Path) -> int:
    first = module.relative_to(REPOSITORY / "dagster_project").parts[0].removesuffix(".py")
    if first == "__init__":
        return 0
    return next(position for position, folders in enumerate(ORDER) if first in folders)


def imports(module: Path) -> set[str]:
    """First name below dagster_project of everything a module imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "dagster_project":
                found |= {alias.name for alias in node.names}
            elif node.module.startswith("dagster_project."):
                found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.split(".")[1] for alias in node.names if alias.name.startswith("dagster_project.")
            }
    return found


@pytest.mark.parametrize("module", modules, ids=lambda module: module.relative_to(REPOSITORY).as_posix())
def test_a_module_imports_only_its_own_or_an_earlier_folder(module):
    if module.relative_to(REPOSITORY / "dagster_project").as_posix() in WIRING:
        return
    for name in imports(module):
        position = next((place for place, folders in enumerate(ORDER) if name in folders), None)
        assert position is not None, f"{name} has no place in the order of folders"
        assert position <= rank(module), f"{module.name} imports {name}, which comes after it"


@pytest.mark.parametrize("module", modules, ids=lambda module: module.relative_to(REPOSITORY).as_posix())
def test_pandas_is_not_used_to_transform(module):
    """Frames go to and from Great Expectations, workbooks and statistical models; SQL does the rest."""
    if re.search(r"\b(import|from) pandas\b", module.read_text(encoding="utf-8")):
        assert module.relative_to(REPOSITORY / "dagster_project").parts[0] in {"audit", "reports", "insights"}


def test_no_folder_or_module_is_a_drawer_for_everything():
    drawers = {"utils", "util", "helpers", "common", "lib", "constants", "misc"}
    for root in ("dagster_project", "tests", "dbt/macros", "dbt/models"):
        for path in (REPOSITORY / root).glob("**/*"):
            assert path.stem not in drawers, path


def test_nothing_shadows_the_dbt_package():
    assert not (REPOSITORY / "dbt" / "__init__.py").exists()
