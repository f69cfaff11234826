"""A pytest plugin that switches Python's garbage collector off, so that instructions can be counted.

A full collection takes 15 million instructions. It is chance whether one falls into the 400 tests that are compared,
which would make a test appear 40 thousand instructions dearer.
"""

from __future__ import annotations

import gc

gc.disable()
