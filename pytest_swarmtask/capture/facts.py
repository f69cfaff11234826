"""Facts of the run that its session events carry once, and what the process has used."""

from __future__ import annotations

import os
import platform
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def process_facts() -> dict[str, Any]:
    """Return who runs this, and on what."""
    return {
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "platform": sys.platform,
        "host": platform.node(),
        "pid": os.getpid(),
    }


def usage() -> dict[str, float]:
    """Return CPU seconds of this process and its ended children, and its peak memory in bytes, where known."""
    times = os.times()
    used: dict[str, float] = {"cpu_seconds": round(sum(times[:4]), 3)}
    try:
        import resource
    except ImportError:  # Windows
        return used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    used["peak_memory"] = peak if sys.platform == "darwin" else peak * 1024
    return used
