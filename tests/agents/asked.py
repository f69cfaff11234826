"""An agent that asks `swarmtask mcp`: the client of the official SDK, over standard input and output."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import jsonschema
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import CallToolResult, ListToolsResult

from tests.lab import clean_environ


class Agent:
    """Starts the command for each question, as an editor does once, and asks it.

    Args:
        root: the folder of the project.
        arguments: options of the command.
        environ: more variables.
    """

    def __init__(self, root: Path, *arguments: str, **environ: str) -> None:
        command = ["-m", "pytest_swarmtask", "mcp", *arguments]
        environment = clean_environ(**environ)
        self._server = StdioServerParameters(command=sys.executable, args=command, env=environment, cwd=root)

    def call(self, tool: str, **arguments: Any) -> Any:
        """Call a tool, and return the object that it answers, checked against the tool's own schema."""
        tools, (result,) = self._ask([(tool, arguments)])
        assert not result.is_error, result.content
        schema = next(one.output_schema for one in tools.tools if one.name == tool)
        assert schema is not None
        jsonschema.validate(result.structured_content, schema)
        assert json.loads(result.content[0].text) == result.structured_content  # type: ignore[union-attr]
        return result.structured_content

    def error(self, tool: str, **arguments: Any) -> str:
        """Call a tool that cannot answer, and return why."""
        _, (result,) = self._ask([(tool, arguments)])
        assert result.is_error
        return str(result.content[0].text)  # type: ignore[union-attr]

    def tools(self) -> ListToolsResult:
        """Return the tools."""
        return self._ask([])[0]

    def at_once(self, calls: Sequence[tuple[str, dict[str, Any]]]) -> list[CallToolResult]:
        """Call several tools at the same time."""
        return self._ask(calls)[1]

    def _ask(self, calls: Sequence[tuple[str, dict[str, Any]]]) -> tuple[ListToolsResult, list[CallToolResult]]:
        return anyio.run(self._asked, calls)

    async def _asked(self, calls: Sequence[tuple[str, dict[str, Any]]]) -> tuple[ListToolsResult, list[CallToolResult]]:
        found: dict[int, CallToolResult] = {}
        async with Client(stdio_client(self._server)) as client:

            async def call(number: int) -> None:
                result = await client.call_tool(*calls[number])
                assert isinstance(result, CallToolResult)
                found[number] = result

            tools = await client.list_tools()
            async with anyio.create_task_group() as group:
                for number in range(len(calls)):
                    group.start_soon(call, number)
        return tools, [found[number] for number in range(len(calls))]
