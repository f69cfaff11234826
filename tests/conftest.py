"""A project of its own for each test, and real pytest sessions in it."""

from __future__ import annotations

import os
import signal

import hypothesis
import pytest

from tests.sessions import Suite

# The examples that Hypothesis tries of each property: its usual hundred, or as many as a long run asks for.
if os.environ.get("SWARMTASK_FUZZ"):
    hypothesis.settings.register_profile("long", max_examples=int(os.environ["SWARMTASK_FUZZ"]), deadline=None)
    hypothesis.settings.load_profile("long")

# Whoever started this in the background of a script has it ignore Ctrl-C, and so would all that the tests start.
for _name in ("SIGINT", "SIGQUIT"):
    if hasattr(signal, _name) and signal.getsignal(getattr(signal, _name)) == signal.SIG_IGN:
        signal.signal(getattr(signal, _name), signal.default_int_handler if _name == "SIGINT" else signal.SIG_DFL)


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """An empty project with a `.taskmaster` folder."""
    return Suite(tmp_path_factory.mktemp("project"))
