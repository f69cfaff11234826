"""Redaction finds most secrets, leaves most harmless text unchanged, and takes time proportional to the length."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from benchmarks.redaction import HOSTILE, LENGTH, growth
from pytest_swarmtask.redaction.redactor import Redactor
from tests.lab import REPOSITORY
from tests.redaction.corpora import adversary, crossed, final_check, other_services, rules_own
from tests.redaction.corpora.written import Written

UNSEEN = (
    "unseen_python_and_npm",
    "unseen_dotnet_and_kubernetes",
    "unseen_docker_and_prometheus",
    "unseen_metadata_and_chat",
    "unseen_github_and_azure",
    "unseen_jvm_and_go",
    "unseen_rails_and_digests",
)
"""Corpora that were new to the rules when first tried. The position in this list determines their random secrets."""
CORPORA = [
    rules_own,
    other_services,
    adversary,
    final_check,
    *(Written(name, seed) for seed, name in enumerate(UNSEEN, 5)),
    crossed,
]

SOURCES = ("getpass", "netrc", "secrets", "token", "tokenize", "pwd", "hmac", "ssl", "imaplib", "ftplib", "smtplib")
PACKAGES = ("http", "urllib", "email", "logging", "unittest", "json", "asyncio", "multiprocessing", "xml")
LOOKS_SECRET = re.compile("pass(?!ed)|token|secret|key|auth|cred|cookie|://", re.IGNORECASE)


def redacted(given: Any) -> Any:
    """Return a text, a list or metadata in its redacted form."""
    redactor = Redactor({})
    if isinstance(given, str):
        return redactor.text(given, 100_000)
    return redactor.metadata({"given": given})["given"]


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda corpus: corpus.__name__.rpartition(".")[2])
def test_secrets_are_found(corpus: Any) -> None:
    """At least 99 of 100 secrets in realistic surroundings are removed."""
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


def test_code_is_left_alone() -> None:
    """Redaction changes few of the standard library's lines about passwords, tokens and keys: 4 of 1000."""
    library = Path(sysconfig.get_path("stdlib"))
    files = [library / f"{name}.py" for name in SOURCES]
    files += [file for name in PACKAGES for file in (library / name).rglob("*.py")]
    texts = [file.read_text("utf-8", "replace") for file in files if file.exists()]
    lines = sorted({line.strip() for text in texts for line in text.splitlines() if LOOKS_SECRET.search(line)})
    changed = [line for line in lines if redacted(line) != line]
    assert len(lines) > 500
    assert len(changed) <= len(lines) * 7 / 1000, changed  # the lines differ between versions of Python


@pytest.fixture(scope="module")
def finished() -> None:
    """Fail unless every hostile text is processed in time; a process of its own can be killed."""
    code = "from benchmarks.redaction import *; [growth(unit, 500) for unit in HOSTILE.values()]"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=180, cwd=REPOSITORY)  # takes about a second


@pytest.mark.usefixtures("finished")
@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE)
def test_time_grows_with_length(unit: str) -> None:
    """For eight times the length, a hostile text takes about eight times the CPU time, never 64 times."""
    _, first_try = growth(unit)
    # Quadratic growth would give 64. The second try is for a busy machine, and for fixed costs that only begin between
    # the two lengths.
    assert first_try < 24 or growth(unit, LENGTH * 4)[1] < 24
