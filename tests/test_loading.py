"""Loading libraries: the collector rests, comes back, and has nothing of theirs to look through."""

import gc

import pytest

from dagster_project import loading


@pytest.fixture(autouse=True)
def collected_again():
    yield
    gc.unfreeze()
    gc.enable()


def test_the_collector_rests_while_libraries_load_and_leaves_what_they_made_alone_ever_after():
    before = gc.get_freeze_count()
    with loading.for_good():
        assert not gc.isenabled()
        made = [[number] for number in range(1000)]
    assert gc.isenabled() and gc.get_freeze_count() >= before + len(made)


def test_a_library_that_cannot_be_loaded_does_not_stop_the_collector():
    with pytest.raises(ImportError), loading.for_good():
        raise ImportError("no such library")
    assert gc.isenabled()


def test_a_collector_that_its_owner_stopped_stays_so():
    gc.disable()
    with loading.for_good():
        pass
    assert not gc.isenabled()
