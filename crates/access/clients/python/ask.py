"""Asks `clerk-access mcp` with the official Python client; compares with the commands' answers.

usage: ask.py PROGRAM FOLDER
"""

import asyncio
import json
import subprocess
import sys

from mcp import Client, StdioServerParameters

PROGRAM, FOLDER = sys.argv[1:]

# With a handshake, as most clients still begin, and without one.
MODES = ["legacy", "auto"]


def main() -> None:
    for mode in MODES:
        asyncio.run(ask(mode))


async def ask(mode: str) -> None:
    server = StdioServerParameters(command=PROGRAM, args=["--url", FOLDER, "mcp"])
    async with Client(server, mode=mode) as client:
        tools = (await client.list_tools()).tools
        assert len(tools) == 10 and all(tool.annotations.read_only_hint for tool in tools), tools
        asked = set()
        for tool, arguments, command in questions():
            answer = await answered(client, tool, arguments | {"limit": 1000})
            assert answer == expected(command), (mode, tool, arguments)
            asked.add(tool)
        assert asked == {tool.name for tool in tools}, asked
        await check_pages(client)
        await check_errors(client)
        await check_resources(client)


def questions() -> list[tuple[str, dict, list[str]]]:
    holder = run("holders")["holders"][0]
    person, organization = holder["user"]["id"], holder["organization"]["id"]
    permission = "org:sys_memberships:manage"
    return [
        ("who", {"person": person}, ["who", person]),
        ("can", {"permission": permission}, ["can", permission]),
        ("holders", {"in": organization}, ["holders", "--in", organization]),
        ("access", {"user": person}, ["access", "--user", person]),
        ("diff", {"class": ["access"]}, ["diff", "--class", "access"]),
        ("history", {"id": person}, ["history", person]),
        ("findings", {}, ["findings"]),
        ("stats", {}, ["stats"]),
        ("verify", {"all": True}, ["verify", "--all"]),
        ("snapshots", {}, ["snapshots"]),
    ]


def run(*command: str) -> dict:
    done = subprocess.run([PROGRAM, "--url", FOLDER, *command], capture_output=True, check=False)
    return json.loads(done.stdout)


def expected(command: list[str]) -> dict:
    # The place is not part of the question.
    return run(*command) | {"command": command, "next_cursor": None}


async def answered(client: Client, tool: str, arguments: dict) -> dict:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result
    assert json.loads(result.content[0].text) == result.structured_content, tool
    return result.structured_content


async def check_pages(client: Client) -> None:
    rows, cursor = [], {}
    while cursor is not None:
        page = await answered(client, "access", {"limit": 64} | cursor)
        assert page["snapshot"]["snapshot_id"] and page["complete"] is True
        rows += page["rows"]
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None
    assert rows == run("access")["rows"] and len(rows) > 64, len(rows)


async def check_errors(client: Client) -> None:
    wrong = [({"limit": 0}, "`limit`"), ({"out": "x"}, '"out"'), ({"snapshot": "x"}, "`snapshot`")]
    for arguments, word in wrong:
        result = await client.call_tool("holders", arguments)
        assert result.is_error and result.structured_content["errorType"] == "InvalidEvent", result
        assert word in result.structured_content["errorMessage"], result


async def check_resources(client: Client) -> None:
    resources = (await client.list_resources()).resources
    texts = {}
    for resource in resources:
        (content,) = (await client.read_resource(resource.uri)).contents
        assert content.mime_type == resource.mime_type, resource
        texts[resource.name] = json.loads(content.text)
    newest = run("snapshots")["snapshot"]["snapshot_id"]
    assert texts.pop("manifest.json")["snapshot_id"] == newest
    assert len(texts) > 20 and all("$schema" in text for text in texts.values()), texts.keys()


if __name__ == "__main__":
    main()
