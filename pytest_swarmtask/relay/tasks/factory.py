"""Create the task manager that the configuration describes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.config.workflow import TaskManagerConfig
    from pytest_swarmtask.relay.tasks.manager import TaskManager


def task_manager(definition: TaskManagerConfig, root: str, environ: Mapping[str, str]) -> TaskManager:
    """Return the task manager of the project in the folder `root`."""
    if definition.kind == "rest":
        from pytest_swarmtask.relay.tasks.rest import RestService  # an HTTP client, which a file does not need

        return RestService(definition.rest, environ)
    from pytest_swarmtask.relay.tasks.taskmaster import TaskMasterFile

    return TaskMasterFile.configured(definition, root, environ)
