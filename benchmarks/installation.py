"""What an installation of this package costs each start of pytest, in instructions.

Two environments are made anew: one by `pip install pytest`, the other with this package, too. As for a user, pip
compiles the modules, and pytest loads the plugins that it finds. pytest's import hook loads all modules of a package
that has a plugin. It reads only bytecode that it has written itself. Where it may not write any, it compiles these
modules anew at each start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from benchmarks.instructions import collected
from benchmarks.measure import Command, Row
from benchmarks.place import Place, suite
from scripts import lab

PYTEST = "pytest==9.2.0"
_VARIANTS: dict[str, tuple[tuple[str, ...], Mapping[str, str]]] = {
    "recording": ((), {}),
    "--no-swarmtask": (("--no-swarmtask",), {}),
    "SWARMTASK_DISABLED=1": ((), {"SWARMTASK_DISABLED": "1"}),
    "-p no:swarmtask": (("-p", "no:swarmtask"), {}),
}
"""Options and variables of each session. The last one shows what pytest's search for plugins takes alone."""
_BARS = {
    "recording": "1.10",
    "recording, no caches": "1.15",
    "--no-swarmtask": "1.03",
    "SWARMTASK_DISABLED=1": "1.03",
}


def installation(place: Place) -> Iterator[Row]:
    """The cost of a run with one test, where this package is installed: recording, switched off, and not loaded."""
    folder = place.project("installation")
    name = suite(folder, 1)
    alone = lab.venv(place.folder / "alone", [PYTEST])
    ours = lab.venv(place.folder / "ours", [PYTEST, str(lab.ROOT)])
    chosen = ["recording"] if place.quick else list(_VARIANTS)
    # Without caches comes first, since pytest also reads caches that it may not write.
    for suffix, environ in ((", no caches", {"PYTHONDONTWRITEBYTECODE": "1"}), ("", {})):
        base = collected(_start(alone, name, environ=environ), folder)
        for what in chosen:
            options, variables = _VARIANTS[what]
            count = collected(_start(ours, *options, name, environ={**environ, **variables}), folder)
            more = f"{(count - base) / 1e6:+.0f} to {base / 1e6:.0f} million"
            bar = _BARS.get(f"{what}{suffix}", "")
            yield Row("installation", f"installed, {what}{suffix}", f"{PYTEST} alone", [count / base], bar, more)


def _start(python: str, *arguments: str, environ: Mapping[str, str]) -> Command:
    # With a random seed of hashes, the count would differ from run to run.
    return Command([python, "-m", "pytest", "-q", *arguments], {"PYTHONHASHSEED": "0", **environ})
