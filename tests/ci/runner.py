"""A small stand-in for GitHub's runner.
The jobs run in order, each on its own machine. Each `run:` step gets the shell and the variables of GitHub's runner.
The runner knows only the actions that our workflows use.
"""

from __future__ import annotations

import base64
import fnmatch
import glob
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

import pytest_swarmtask
from pytest_swarmtask.cli import tasksmk
from tests.lab import clean_environ

Json = dict[str, Any]
REPOSITORY = "example/tiny"


class Step:
    """A step of a job. `outcome` is success, failure or skipped."""

    def __init__(self, name: str, outcome: str = "skipped", output: str = "", summary: str = "") -> None:
        self.name = name
        self.outcome = outcome
        self.output = output
        self.summary = summary


class Job:
    """A job that has run or was skipped.
    Attributes:
        result: success, failure or skipped.
        environment: the deployment environment that the job names, or "".
        steps: the steps of the job.
        workspace: the checkout of the job.
    """

    def __init__(self, name: str, workspace: Path, environment: str = "") -> None:
        self.name = name
        self.workspace = workspace
        self.environment = environment
        self.result = "skipped"
        self.steps: list[Step] = []

    @property
    def output(self) -> str:
        """The output of all steps."""
        return "".join(step.output for step in self.steps)

    def step(self, name: str) -> Step:
        (found,) = [step for step in self.steps if step.name == name]
        return found


class Runner:
    """Runs a workflow on a project.
    Attributes:
        project: the folder that jobs check out.
        artifacts: the folders that jobs of the last run have uploaded, by name.
        caches: the files that jobs of all runs have saved, by key, the newest last.
    """

    def __init__(self, project: Path, home: Path, machine: Machine) -> None:
        self.artifacts: dict[str, Path] = {}
        self.caches: dict[str, bytes] = {}
        self.project = project
        self._home = home
        self._machine = machine

    def run(
        self, workflow: Path, event: str, ref: str, secrets: Mapping[str, str], run_id: str = "9876543210"
    ) -> dict[str, Job]:
        """Run the workflow for an event, and return its jobs by name."""
        shutil.rmtree(self._home, ignore_errors=True)  # hosted machines are new in each run
        self.artifacts.clear()
        definition = yaml.safe_load(workflow.read_text())
        kind, name = ref.split("/", 2)[1:]
        github = {
            "event_name": event,
            "ref": ref,
            "ref_name": name,
            "ref_type": {"heads": "branch", "tags": "tag"}.get(kind, "branch"),
            "workflow": definition["name"],
            "repository": REPOSITORY,
            "run_id": run_id,
            "run_attempt": "1",
            "sha": "0123456789abcdef0123456789abcdef01234567",
        }
        jobs: dict[str, Job] = {}
        for name, plan in definition["jobs"].items():  # each job is listed after the jobs that it needs
            contexts = {"github": _Context(github), "secrets": _Context(secrets), "matrix": _only_leg(plan)}
            contexts["github"]["event"] = _Context(repository=_Context(default_branch="main"))
            contexts["runner"] = _Context(temp=str(self._home / name / "tiny"))
            needed = [jobs[need] for need in _list(plan.get("needs"))]
            job = Job(name, self._home / name / "tiny" / "tiny", _filled(plan.get("environment", ""), contexts))
            jobs[name] = job
            status = "success" if all(need.result == "success" for need in needed) else "skipped"
            if _holds(plan.get("if", "success()"), contexts, status):
                self._run_job(job, plan, definition.get("env", {}), contexts)
        return jobs

    def _run_job(self, job: Job, plan: Json, env: Json, contexts: Json) -> None:
        job.result = "success"
        job.workspace.mkdir(parents=True)
        variables = self._variables(job, contexts["github"])
        variables |= _variables({**env, **plan.get("env", {})}, contexts)
        for definition in plan["steps"]:
            step = Step(definition.get("name") or definition.get("uses") or definition["run"])
            job.steps.append(step)
            if not _holds(definition.get("if", "success()"), contexts, job.result):
                continue
            code = self._run_step(step, job, definition, variables, contexts)
            step.outcome = "failure" if code else "success"
            if code and not definition.get("continue-on-error"):
                job.result = "failure"

    def _variables(self, job: Job, github: _Context) -> dict[str, str]:
        defaults = {f"GITHUB_{name.upper()}": value for name, value in github.items() if isinstance(value, str)}
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._home),
            "LANG": "C.UTF-8",
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            **defaults,
            "GITHUB_JOB": job.name,
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_API_URL": "https://api.github.com",
            "GITHUB_ACTOR": "someone",
            "GITHUB_WORKSPACE": str(job.workspace),
            "RUNNER_OS": "Linux",
            "RUNNER_ARCH": "X64",
            "RUNNER_NAME": "GitHub Actions 1",
            "RUNNER_ENVIRONMENT": "github-hosted",
            "RUNNER_TEMP": str(job.workspace.parent),
            **self._machine.environ,
        }

    def _run_step(self, step: Step, job: Job, plan: Json, variables: dict[str, str], contexts: Json) -> int:
        if "run" in plan:
            return self._shell(step, job, plan, variables, contexts)
        action, _, _ = plan["uses"].partition("@")
        inputs = {name: _filled(value, contexts) for name, value in plan.get("with", {}).items()}
        return {
            "actions/checkout": self._checkout,
            "actions/setup-python": self._setup_python,
            "actions/upload-artifact": self._upload,
            "actions/download-artifact": self._download,
            "actions/cache/restore": self._restore,
            "actions/cache/save": self._save,
        }[action](step, job, inputs, variables)

    def _shell(self, step: Step, job: Job, plan: Json, variables: dict[str, str], contexts: Json) -> int:
        """Run a script as GitHub's runner does if a step names no shell: `bash -e` with the name of a file."""
        script = job.workspace.parent / "script.sh"
        script.write_text(_filled(plan["run"], contexts))
        names = ("GITHUB_STEP_SUMMARY", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT")
        files = {name: job.workspace.parent / name.lower() for name in names}
        for file in files.values():
            file.write_text("")
        environ = {**variables, **_variables(plan.get("env", {}), contexts), **{k: str(v) for k, v in files.items()}}
        done = bash(["-e", str(script)], job.workspace, environ)
        step.output, step.summary = done.stdout, files["GITHUB_STEP_SUMMARY"].read_text()
        for line in files["GITHUB_PATH"].read_text().splitlines():
            variables["PATH"] = f"{line}{os.pathsep}{variables['PATH']}"
        return done.returncode

    def _checkout(self, _: Step, job: Job, __: Json, ___: dict[str, str]) -> int:
        shutil.copytree(self.project, job.workspace, dirs_exist_ok=True)
        return 0

    def _setup_python(self, _: Step, job: Job, __: Json, variables: dict[str, str]) -> int:
        variables["PATH"] = f"{self._machine.python(job.workspace.parent)}{os.pathsep}{variables['PATH']}"
        return 0

    def _upload(self, step: Step, job: Job, inputs: Json, _: dict[str, str]) -> int:
        found = [Path(name) for name in glob.glob(str(job.workspace / inputs["path"]))]
        if inputs.get("include-hidden-files") is not True:
            found = [
                path
                for path in found
                if not any(part.startswith(".") for part in path.relative_to(job.workspace).parts)
            ]
        if not found:
            step.output = f"No files were found with the provided path: {inputs['path']}\n"
            return inputs.get("if-no-files-found") == "error"
        folder = self._home / "artifacts" / inputs["name"]
        folder.mkdir(parents=True)  # as on GitHub, a name that is already used is an error
        for path in found:
            shutil.copytree(path, folder, dirs_exist_ok=True) if path.is_dir() else shutil.copy(path, folder)
        self.artifacts[inputs["name"]] = folder
        return 0

    def _restore(self, _: Step, job: Job, inputs: Json, __: dict[str, str]) -> int:
        """Restore the newest cache of the key, or of the first prefix that is that of any key."""
        for prefix in (inputs["key"], *inputs["restore-keys"].split()):
            found = [content for key, content in self.caches.items() if key.startswith(prefix)]
            if found:
                target = job.workspace / inputs["path"]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(found[-1])
                return 0
        return 0

    def _save(self, step: Step, job: Job, inputs: Json, _: dict[str, str]) -> int:
        source = job.workspace / inputs["path"]
        if inputs["key"] in self.caches or not source.exists():
            step.output = "a key cannot be saved twice, and there must be something to save\n"
            return 1
        self.caches[inputs["key"]] = source.read_bytes()
        return 0

    def _download(self, step: Step, job: Job, inputs: Json, _: dict[str, str]) -> int:
        if "pattern" in inputs:
            for name in fnmatch.filter(self.artifacts, inputs["pattern"]):
                shutil.copytree(self.artifacts[name], job.workspace / inputs["path"] / name)
            return 0
        if inputs["name"] not in self.artifacts:
            step.output = f"Artifact not found for name: {inputs['name']}\n"
            return 1
        shutil.copytree(self.artifacts[inputs["name"]], job.workspace / inputs["path"], dirs_exist_ok=True)
        return 0


def check_schema(schema: str, *paths: Path) -> None:
    """Check definitions against a schema that check-jsonschema has built in."""
    options = ["--regex-variant", "nonunicode", "--builtin-schema", schema]  # the schema of Azure has needless escapes
    command = [sys.executable, "-m", "check_jsonschema", *options, *map(str, paths)]
    done = subprocess.run(command, env=clean_environ(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def check_security(*workflows: Path) -> None:
    """Let zizmor look for weaknesses in workflows of GitHub; it asks no network."""
    command = [str(Path(sys.executable).with_name("zizmor")), "--offline", *map(str, workflows)]
    done = subprocess.run(command, env=clean_environ(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def set_up(project: Path, *options: str) -> None:
    """Set a project up with `swarmtask init`; without options with all jobs, also those for deployment."""
    command = [sys.executable, "-m", "pytest_swarmtask", "init", *(options or ["--with-deploy"])]
    subprocess.run(
        [*command, "--root", str(project)],
        env=clean_environ(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )


# --- expressions ------------------------------------------------------------------------------------------------------


class _Context(dict[str, Any]):
    """A context such as `github` or `secrets`. A missing name gives an empty text."""

    def __getattr__(self, name: str) -> Any:
        return self.get(name, "")


def _only_leg(plan: Json) -> _Context:
    """Return the values of a job's matrix, which has one leg in the workflows that are run here."""
    axes = plan.get("strategy", {}).get("matrix", {})
    assert all(len(values) == 1 for values in axes.values()), axes
    return _Context({name: values[0] for name, values in axes.items()})


def _list(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []


def _variables(env: Json, contexts: Json) -> dict[str, str]:
    return {name: str(_filled(value, contexts)) for name, value in env.items()}


def _filled(value: Any, contexts: Json) -> Any:
    if not isinstance(value, str):
        return value
    return re.sub(r"\$\{\{(.*?)\}\}", lambda match: str(_evaluated(match[1], contexts)), value)


def _holds(condition: str, contexts: Json, status: str) -> bool:
    """Whether the condition of an `if:` is met. Without a status function, the condition also requires success."""
    functions = {
        "always": lambda: True,
        "success": lambda: status == "success",
        "failure": lambda: status == "failure",
        "cancelled": lambda: False,
    }
    bare = condition.strip().removeprefix("${{").removesuffix("}}")
    asks = re.search(r"\b(always|success|failure|cancelled)\(", bare)
    return bool(_evaluated(bare, {**contexts, **functions})) and (status == "success" or bool(asks))


def _evaluated(expression: str, contexts: Json) -> Any:
    translated = expression.replace("&&", " and ").replace("||", " or ").replace(".*", ".values()")
    functions = {
        "startsWith": lambda text, start: text.startswith(start),
        "join": lambda values, between: between.join(map(str, values)),
    }
    names = {**contexts, **functions, "__builtins__": {}}
    return eval(translated.strip(), names)


# --- machines ---------------------------------------------------------------------------------------------------------


def bash(arguments: Sequence[str], folder: Path, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run bash as the runners of CI services do: without input, and with errors among the output."""
    return subprocess.run(
        ["bash", *arguments],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )


class Machine:
    """The machine of each job: it finds our wheel instead of PyPI, and a Python with the wheel's requirements.
    Nothing is downloaded. The wheel is packed from the package under test. The requirements come from this interpreter.

    Attributes:
        environ: the variables that make pip find the wheel.
        tasks_mk: the tasks.mk that belongs to the wheel.
    """

    def __init__(self, folder: Path, *, prepared: bool = False) -> None:
        """Make a machine.
        Args:
            folder: an empty folder for the machine's files.
            prepared: whether all jobs share one Python with the wheel, and with a pip that does nothing. Otherwise
                each job gets a Python of its own, and pip installs the wheel, which takes seconds.
        """
        self.tasks_mk = tasksmk.installed()
        self._shared: str | None = None
        self._wheels = folder / "wheels"
        self._wheels.mkdir(parents=True)
        self._libraries = folder / "libraries"
        self._libraries.mkdir()
        pack(self._wheels)
        for entry in _libraries():
            (self._libraries / entry.name).symlink_to(entry)
        self.environ = {
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self._wheels),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_CACHE_DIR": "1",
        }
        if prepared:
            programs = self.python(folder)
            install = [f"{programs}/python", "-m", "pip", "install", "--quiet", "pytest-swarmtask"]
            subprocess.run(install, env=clean_environ(**self.environ), check=True)
            pip = _packages(folder / "python") / "pip"
            pip.mkdir()
            for name in ("__init__.py", "__main__.py"):
                (pip / name).touch()
            self._shared = programs

    def python(self, folder: Path) -> str:
        """Create a Python in a folder, unless there is one to use, and return the folder of its programs."""
        if self._shared:
            return self._shared
        place = folder / "python"
        if place.exists():
            return str(place / "bin")
        venv.create(place, symlinks=True, with_pip=importlib.util.find_spec("pip") is None)
        (_packages(place) / "requirements.pth").write_text(f"{self._libraries}\n")
        return str(place / "bin")


def _packages(python: Path) -> Path:
    """Return the folder of the packages that are installed in a Python."""
    (found,) = python.glob("lib/python*/site-packages")
    return found


def _libraries() -> Iterator[Path]:
    """Yield what our package requires, as it is installed here: importable modules and pip's metadata about them."""
    seen: set[Path] = set()
    for name in requirements("pytest-swarmtask") | {"pip"}:
        distribution = importlib.metadata.distribution(name)
        for file in distribution.files or ():
            entry = Path(str(distribution.locate_file(file.parts[0])))
            if file.parts[0] not in ("..", "__pycache__") and entry not in seen:
                seen.add(entry)
                yield entry


def requirements(name: str) -> set[str]:
    """Return the distributions that a distribution requires, directly or not, without those of extras."""
    found: set[str] = set()
    left = [name]
    while left:
        for text in importlib.metadata.requires(left.pop()) or ():
            requirement = Requirement(text)
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if wanted and requirement.name not in found:
                found.add(requirement.name)
                left.append(requirement.name)
    return found


def pack(folder: Path) -> Path:
    """Pack the package under test into a wheel, wherever the package is imported from."""
    version = pytest_swarmtask.__version__
    info = f"pytest_swarmtask-{version}.dist-info"
    package = Path(pytest_swarmtask.__file__).parent
    metadata = importlib.metadata.distribution("pytest-swarmtask")
    files = {
        f"pytest_swarmtask/{path.relative_to(package)}": path.read_bytes()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    files["pytest_swarmtask/make/tasks.mk"] = tasksmk.installed().read_bytes()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    for name in ("METADATA", "entry_points.txt"):
        files[f"{info}/{name}"] = (metadata.read_text(name) or "").encode()
    record = "".join(f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    wheel = folder / f"pytest_swarmtask-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return wheel


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
