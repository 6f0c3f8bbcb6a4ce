"""A client of the MCP server: the SDK's own, for tests that are not asynchronous; needs the extra ``mcp``."""

import asyncio
import json

from mcp import Client, MCPError


class Outcome:
    """What a tool answered: its object, or the sentence of its error."""

    def __init__(self, result):
        self.text = result.content[0].text
        self.refused, self.value = result.is_error, result.structured_content

    def __repr__(self):
        return self.text


async def call(client, tool, **arguments):
    return Outcome(await client.call_tool(tool, arguments))


class Conversation:
    """A client of a server, for tests that are not asynchronous: each call is a conversation of its own."""

    def __init__(self, server, **options):
        self.server, self.options = server, options

    def run(self, act):
        async def whole():
            async with Client(self.server, **self.options) as client:
                try:
                    return await act(client), None
                except MCPError as error:  # raised below, where no task group wraps it
                    return None, error

        answer, error = asyncio.run(whole())
        if error:
            raise error
        return answer

    def __call__(self, tool, **arguments):
        return self.run(lambda client: call(client, tool, **arguments))

    def read(self, uri):
        async def act(client):
            content = (await client.read_resource(uri)).contents[0]
            return content.mime_type, json.loads(content.text)

        return self.run(act)


def tools_of(client):
    async def act(client):
        return (await client.list_tools()).tools

    return {tool.name: tool for tool in client.run(act)}


def nested(levels):
    """A value nested that deep."""
    value = 1
    for _ in range(levels):
        value = [value]
    return value
