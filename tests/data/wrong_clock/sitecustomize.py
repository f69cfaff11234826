"""Imported by each Python process of a machine whose clock is wrong, in a test."""

import os
import time

_AHEAD = float(os.environ["TEST_CLOCK_AHEAD"])
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + _AHEAD
time.time_ns = lambda: _time_ns() + int(_AHEAD * 1e9)
