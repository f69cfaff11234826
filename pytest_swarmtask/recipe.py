"""The entry point of recipes of make, by the path of this file: ``python -S …/recipe.py emit …`` or ``… run …``.

With `-S`, Python starts without `site`, which searches site-packages, in two thirds of the time. Without `-m`, it need
not load the module that finds modules. Code that needs site-packages loads `site` itself, see `plugins.compile` and
`recording.extra_metadata`.
"""

from __future__ import annotations

import gc
import os
import sys

_SHELL_VARIABLE = "TASKS_SHELL_"
"""What tasks.mk puts before the names of the variables of a recipe's shell."""


def main() -> int:
    """Run `emit` or `run` with the arguments of this process; return its exit code."""
    folder = os.path.dirname(os.path.abspath(__file__))
    # Python has put this folder first, where our `emit` and `plugin` would hide other modules of these names.
    sys.path[:] = [path for path in sys.path if path not in (folder, os.path.realpath(folder))]
    sys.path.append(os.path.dirname(folder))
    gc.disable()  # there is little garbage, and to look for it is a tenth of the work
    if sys.argv[1:2] == ["emit"]:
        from pytest_swarmtask.emit import in_recipe

        code = in_recipe(sys.argv[2:])
        gc.freeze()  # not at the end of the process either
        return code
    from pytest_swarmtask.cli.main import main as command_line

    _take_shell_variables()
    arguments = sys.argv[1:]
    if arguments[2:3] == ["--id="]:  # the variable was empty: the command of the recipe runs all the same
        del arguments[2]
    return command_line(arguments)


def _take_shell_variables() -> None:
    """Give the command those variables of the recipe's shell that it uses and that are not in the environment."""
    for name in [name for name in os.environ if name.startswith(_SHELL_VARIABLE)]:
        os.environ.setdefault(name[len(_SHELL_VARIABLE) :], os.environ.pop(name))


if __name__ == "__main__":
    sys.exit(main())
