"""The event types as an enumeration, for Python code and for the schema of `workflow.yaml`.

It stands apart from `core.event` because `enum` costs nearly as much as everything else that an emitter loads.
"""

from __future__ import annotations

import enum


class AutomationEventType(str, enum.Enum):
    """What an event reports. The value is the name, so a member compares equal to the plain string."""

    TASK_STARTED = "TASK_STARTED"
    TASK_COMPLETED = "TASK_COMPLETED"
    TASK_FAILED = "TASK_FAILED"
    BUILD_STARTED = "BUILD_STARTED"
    BUILD_COMPLETED = "BUILD_COMPLETED"
    BUILD_FAILED = "BUILD_FAILED"
    DEPLOYMENT_STARTED = "DEPLOYMENT_STARTED"
    DEPLOYMENT_COMPLETED = "DEPLOYMENT_COMPLETED"
    DEPLOYMENT_FAILED = "DEPLOYMENT_FAILED"
    TEST_STARTED = "TEST_STARTED"
    TEST_PASSED = "TEST_PASSED"
    TEST_FAILED = "TEST_FAILED"
    TEST_SKIPPED = "TEST_SKIPPED"

    def __str__(self) -> str:
        return self.value
