"""How much of what is secret is found, how much of what is not is left alone, and that time grows with length only."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.redaction import HOSTILE, growth
from pytest_swarmtask.redact import Redactor
from tests.data.redaction import first, fourth, second, third
from tests.data.redaction.written import Written

CORPORA = [first, second, third, fourth, Written("fifth", 5), Written("sixth", 6), Written("seventh", 7)]
CORPORA += [Written("eighth", 8), Written("ninth", 9), Written("tenth", 10), Written("eleventh", 11)]

ROOT = Path(__file__).parents[2]


def redacted(given: Any) -> Any:
    """Return a text, a list or metadata as it would be written."""
    redactor = Redactor({})
    if isinstance(given, str):
        return redactor.text(given, 100_000)
    return redactor.metadata({"given": given})["given"]


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda corpus: corpus.__name__.rpartition(".")[2])
def test_secrets_are_found(corpus: Any) -> None:
    """At least 99 of 100 secrets in realistic surroundings are gone."""
    secrets = corpus.secrets()
    shown = [(secret.given, redacted(secret.given)) for secret in secrets]
    missed = [
        given
        for secret, (given, left) in zip(secrets, shown, strict=True)
        if secret.secret in (text := left if isinstance(left, str) else json.dumps(left, ensure_ascii=False))
        or json.dumps(secret.secret)[1:-1] in text
    ]
    assert len(secrets) >= 40
    assert len(missed) <= len(secrets) / 100, missed


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda corpus: corpus.__name__.rpartition(".")[2])
def test_what_only_looks_like_it_is_left_alone(corpus: Any) -> None:
    """At most 1 of 100 harmless look-alikes is changed."""
    plain = corpus.harmless()
    changed = [given for given in plain if redacted(given) != given]
    assert len(plain) >= 100
    assert len(changed) <= len(plain) / 100, changed


@pytest.fixture(scope="module")
def finished() -> None:
    """Every hostile text is through at all, or this fails: in a process of its own, which can be ended."""
    code = "from benchmarks.redaction import *; [growth(unit, 500) for unit in HOSTILE.values()]"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=180, cwd=ROOT)  # takes about a second


@pytest.mark.usefixtures("finished")
@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE)
def test_time_grows_with_length(unit: str) -> None:
    """Eight times the length of a hostile text takes about eight times the CPU time, never its square."""
    _, first_try = growth(unit)
    assert first_try < 24 or growth(unit)[1] < 24  # 64 if it were quadratic; a busy machine gets a second chance
