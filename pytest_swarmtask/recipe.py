"""The entry point of recipes of make, by the path of this file: ``python -S …/recipe.py emit …`` or ``… run …``.

With `-S`, Python starts without `site`, which searches site-packages, in two thirds of the time. Without `-m`, it need
not load the module that finds modules. Code that needs site-packages loads `site` itself, see `plugins.compile` and
`recording.extra_metadata`. Python compiles this file at each start, so it is short.
"""

import gc
import os
import sys


def main() -> int:
    """Run `emit` or `run` with the arguments of this process; return its exit code, or end the process with it."""
    folder = os.path.dirname(os.path.abspath(__file__))
    # Python has put this folder first, where our `emit` and `plugin` would hide other modules of these names.
    sys.path[:] = [path for path in sys.path if path not in (folder, os.path.realpath(folder))]
    sys.path.append(os.path.dirname(folder))
    gc.disable()  # there is little garbage, and to look for it is a tenth of the work
    if sys.argv[1:2] == ["emit"]:
        from pytest_swarmtask.emit import in_recipe

        code = in_recipe(sys.argv[2:])
    else:
        from pytest_swarmtask.cli.main import in_recipe

        code = in_recipe(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (AttributeError, OSError):  # closed: Python has an exit code of its own for that
        return code
    if "site" in sys.modules:  # loaded for plug-ins, which may have something to do at the end
        return code
    os._exit(code)  # Python would clear all modules first, which takes an eighth of the time of `emit`


if __name__ == "__main__":
    sys.exit(main())
