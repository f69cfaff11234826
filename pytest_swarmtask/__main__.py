"""``python -m pytest_swarmtask``, the same as ``swarmtask``."""

from __future__ import annotations

import sys

from pytest_swarmtask.cli.main import main

sys.exit(main())
