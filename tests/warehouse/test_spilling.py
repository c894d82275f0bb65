"""A night that needs more than its memory goes on in its temporary directory, model after model."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dagster_project.job import nightly
from dagster_project.settings import REPOSITORY, SAMPLE_EXPORTS
from dagster_project.warehouse.publish import current_manifest


def test_what_may_be_set_only_before_a_spill_is_given_as_the_database_is_opened():
    profiles = yaml.safe_load((REPOSITORY / "dbt" / "profiles.yml").read_text(encoding="utf-8"))
    output = profiles["live_commerce"]["outputs"]["duckdb"]
    assert {"memory_limit", "temp_directory"} <= set(output["config_options"])
    # dbt-duckdb gives these again for every model.
    assert set(output["settings"]) == {"TimeZone", "preserve_insertion_order"}


@pytest.mark.slow
def test_the_sample_in_a_hundred_megabytes_spills_and_has_the_same_hashes(tmp_path: Path) -> None:
    made = {}
    for limit in ("100MB", "4GB"):
        data = tmp_path / limit
        environ = {"EXPORTS": str(SAMPLE_EXPORTS), "DATA": str(data), "VIEWER_KEY_SECRET": "test", "DUCKDB_MEMORY_LIMIT": limit}
        assert nightly(environ) == 0
        manifest = current_manifest(data / "published")
        assert manifest is not None
        made[limit] = {name: table["content_hash"] for name, table in manifest["tables"].items()}
    assert len(made["4GB"]) > 40 and made["100MB"] == made["4GB"]
