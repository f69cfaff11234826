"""What recipes of make start by the path of this file, as ``python -S …/recipe.py emit …`` or ``… run …``.

Without `site`, which looks through site-packages, Python starts in two thirds of its time; without `-m`, which loads a
module to find ours, it is faster still. What needs `site` loads it: see `config.settings`.
"""

from __future__ import annotations

import gc
import os
import sys


def main() -> int:
    """Run `emit` or `run` with the arguments of this process; return its exit code."""
    folder = os.path.dirname(os.path.abspath(__file__))
    # Python has put this folder first, where our `trace` and `events` would hide others' modules of such names.
    sys.path[:] = [path for path in sys.path if path not in (folder, os.path.realpath(folder))]
    sys.path.append(os.path.dirname(folder))
    gc.disable()  # there is little garbage, and looking for it is a tenth of what a recipe costs
    if sys.argv[1:2] == ["emit"]:
        from pytest_swarmtask.emit import in_recipe

        code = in_recipe(sys.argv[2:])
        gc.freeze()  # not at the end of the process either
        return code
    from pytest_swarmtask.cli.main import main as command_line

    arguments = sys.argv[1:]
    if arguments[2:3] == ["--id="]:  # a shell variable that is empty: the recipe's command runs all the same
        del arguments[2]
    return command_line(arguments)


if __name__ == "__main__":
    sys.exit(main())
