"""An agent that asks `swarmtask mcp`: the client of the official SDK, over standard input and output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import CallToolResult, Tool

from tests.lab import clean_environ


class Agent:
    """Asks a running command.

    Args:
        portal: runs coroutines in another thread.
        client: the client of the SDK.

    Attributes:
        tools: the tools, in the order of the command.
    """

    def __init__(self, portal: BlockingPortal, client: Client) -> None:
        self._portal = portal
        self._client = client
        self.tools: list[Tool] = portal.call(client.list_tools).tools

    def call(self, tool: str, **arguments: Any) -> Any:
        """Call a tool, and return the object that it answers, checked against the tool's own schema."""
        (result,) = self.at_once([(tool, arguments)])
        assert not result.is_error, result.content
        schema = next(one.output_schema for one in self.tools if one.name == tool)
        assert schema is not None
        jsonschema.validate(result.structured_content, schema)
        assert json.loads(result.content[0].text) == result.structured_content  # type: ignore[union-attr]
        return result.structured_content

    def error(self, tool: str, **arguments: Any) -> str:
        """Call a tool that cannot answer, and return why."""
        (result,) = self.at_once([(tool, arguments)])
        assert result.is_error
        return str(result.content[0].text)  # type: ignore[union-attr]

    def at_once(self, calls: Sequence[tuple[str, dict[str, Any]]]) -> list[CallToolResult]:
        """Call several tools at the same time."""
        running = [self._portal.start_task_soon(self._client.call_tool, *call) for call in calls]
        results = [each.result() for each in running]
        assert all(isinstance(result, CallToolResult) for result in results)
        return results


@contextmanager
def agent_in(root: Path, *arguments: str) -> Iterator[Agent]:
    """Start the command with these options in a folder, as an editor does, and return an agent that asks it."""
    command = ["-m", "pytest_swarmtask", "mcp", *arguments]
    server = StdioServerParameters(command=sys.executable, args=command, env=clean_environ(), cwd=root)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Client(stdio_client(server))) as client,
    ):
        yield Agent(portal, client)
