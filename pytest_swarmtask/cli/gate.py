"""`swarmtask gate`: the last step of CI, whose exit code says whether a run may pass."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

import msgspec

from pytest_swarmtask.cli.asking import Question, add_from, json_answer, print_text
from pytest_swarmtask.cli.common import add_root, present_ci_run, project_of
from pytest_swarmtask.cli.job_log import annotate
from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.text import neutral

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.report.gate import GateFacts, GateVerdict

_MOST_ANNOTATIONS = 10
"""Annotations of a kind that GitHub shows of one step."""


def register(subparsers: Subparsers) -> None:
    """Add the command `gate`."""
    parser = subparsers.add_parser(
        "gate",
        help="end with 1 if a run has new failures or lost tests; for the end of CI",
        description="Judge a run by the section `gate` of workflow.yaml: new failures, lost tests, missing shards, "
        "coverage. Use it as the last step of CI.",
        example="swarmtask gate",
        page="failures",
    )
    parser.add_argument("--run", dest="run", metavar="ID", help="this run (any unique beginning of its id is enough)")
    parser.add_argument("--json", dest="json", action="store_true", help="print one JSON object")
    add_from(parser)
    add_root(parser)
    parser.set_defaults(func=gate)


def gate(arguments: argparse.Namespace) -> int:
    """Judge a run by the section `gate` of the configuration. Return 0 if it may pass, else 1.

    Raises:
        ConfigError: the configuration is not valid.
        HistoryError: the history cannot be read now.
        UsageError: there is no such run, or the server does not answer.
    """
    from pytest_swarmtask.config.load import load
    from pytest_swarmtask.report.gate import judge

    project = project_of(arguments)
    policy = load(project, os.environ).workflow.gate
    verdict = judge(_facts(arguments), policy, project.root)
    if arguments.json:
        print(json.dumps(asdict(verdict), indent=2))
    else:
        print_text("".join(f"{neutral(line)}\n" for line in _lines(verdict)))
        _annotate(verdict, project.root)
    return 0 if verdict.passed else 1


def _facts(arguments: argparse.Namespace) -> GateFacts:
    from pytest_swarmtask.report.gate import GateFacts, GateRequest, write_gate_facts

    request = GateRequest(arguments.run, present_ci_run())
    found = json_answer(arguments, Question("gate", request, write_gate_facts))
    try:
        return msgspec.json.decode(found, type=GateFacts)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"the answer of the server is not understood: {error}") from None


def _lines(verdict: GateVerdict) -> Iterator[str]:
    from pytest_swarmtask.report.phrases import short_id

    branch = f" on {verdict.branch}" if verdict.branch else ""
    base = f" (run {short_id(verdict.base)})" if verdict.base else ""
    compared = f", compared with {verdict.default_branch}{base}" if verdict.default_branch else ""
    yield f"gate {'passed' if verdict.passed else 'closed'}: run {short_id(verdict.run)}{branch}{compared}"
    yield from (f"  {line.policy}: {line.text}" for line in verdict.against)
    if verdict.let_pass:
        yield "let pass:"
    yield from (f"  {line.policy}: {line.text}" for line in verdict.let_pass)


def _annotate(verdict: GateVerdict, root: str) -> None:
    """Annotate the files of a job of GitHub Actions: what keeps the run from passing as errors, the rest as notices."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    let_pass = [line for line in verdict.let_pass if line.place]
    for line in (*verdict.against[:_MOST_ANNOTATIONS], *let_pass[:_MOST_ANNOTATIONS]):
        severity: Literal["info", "critical"] = "critical" if line in verdict.against else "info"
        annotate(root, f"swarmtask gate: {line.policy}", line.place or "", line.text, severity)
