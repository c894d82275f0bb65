"""Work that a run needs later, made while its files land, in a process of its own.

What it makes has to be kept where the run looks for it. A run only waits: what fails or ends early there, it does itself.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Mapping
from importlib import import_module

from dagster_project.settings import REPOSITORY, Settings

_helper: subprocess.Popen[bytes] | None = None
_works: set[str] = set()
_made: set[str] = set()


def begin(settings: Settings, works: Mapping[str, str]) -> None:
    """Start the process, once in this one. works: name → "module:function" that takes the settings; made in this order."""
    global _helper
    if _helper is not None:
        return
    _works.update(works)
    _helper = subprocess.Popen(
        [sys.executable, "-m", "dagster_project.beforehand"],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert _helper.stdin is not None
    try:
        # Through the pipe, since settings hold a secret; it stays open, for its end tells that this process is gone.
        pickle.dump((settings, dict(works)), _helper.stdin)
        _helper.stdin.flush()
    except OSError:
        pass


def wait_for(name: str) -> None:
    """Return once the work of that name is done, or cannot be expected of that process any more; at once where none does it."""
    while name in _works - _made and _helper is not None and _helper.stdout is not None:
        line = _helper.stdout.readline().decode().strip()
        if not line:
            return
        _made.add(line)


def main() -> None:
    """The process: settings and works come in, a line goes out for each that is done."""
    settings, works = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    # Whatever the libraries print must not be taken for a line of ours.
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for name, path in works.items():
        module, function = path.split(":")
        getattr(import_module(module), function)(settings)
        print(name, file=told, flush=True)


def _end_with_the_run() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main()
