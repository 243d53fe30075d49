"""Transcripts: a small cluster's story, as commands and what came of them.

A `.txt` file beside this one is replayed line by line on a little cluster, and what comes of it is
compared with what the file says; of a page of the documentation what stands in its blocks of code.
`pytest --rewrite` writes it anew; read the difference and commit only what you understand.

    # a remark stays as it is
    nodes 3 [setting=value ...]      begin; the nodes are A, B, C ...
    A> SET k v                       a command through a node; its reply follows, indented
    A< ...                           (several commands on one line, parted by ";", are a pipeline)
    wait 100                         milliseconds
    kill A | boot A | cut A B | heal | disk A full | disk A free
    held k                           what each replica holds under a key
    kept k                           what each node keeps of it for others, as hints
"""

from pathlib import Path

import pytest

from respdyn.cluster.versions import version_of
from respdyn.ring.hashing import PREFIX, slot_of
from tests.little import Client, Little

HERE = Path(__file__).parent
PAGES = [HERE.parents[1] / "docs" / "carts.md"]
FILES = sorted(HERE.glob("*.txt")) + PAGES


class Player:
    """Replays a transcript and writes it down anew."""

    def __init__(self) -> None:
        self._little: Little | None = None
        self._clients: dict[str, Client] = {}
        self._actors: dict[str, str] = {}
        self._tokens: dict[bytes, str] = {}
        self._named: dict[str, bytes] = {}

    def play(self, text: str, is_page: bool = False) -> str:
        lines = []
        is_story = not is_page       # within a block of code
        for line in text.splitlines():
            if line.startswith("    "):
                continue
            lines.append(line)
            if is_page and line.startswith("```"):
                is_story = not is_story
            elif is_story and line and not line.startswith("#"):
                lines += [f"    {one}" for one in self._act(line)]
        return "\n".join(lines) + "\n"

    @property
    def little(self) -> Little:
        assert self._little is not None, "a transcript begins with `nodes`"
        return self._little

    def _act(self, line: str) -> list[str]:
        if line[1:2] == ">":
            return self._command(line[0], line[2:].strip())
        verb, *words = line.split()
        if verb == "nodes":
            pairs = [word.split("=") for word in words[1:]]
            changes = {name: int(value) if value.isdigit() else value for name, value in pairs}
            self._little = Little(int(words[0]), **changes).ready()
            for index, machine in enumerate(self._little.machines):
                self._actors[machine.node.identity.actor.hex()[:8]] = chr(65 + index)
        elif verb == "wait":
            self.little.run(int(words[0]))
        elif verb == "kill":
            self.little.kill(words[0])
            self._clients.pop(words[0], None)
        elif verb == "boot":
            self.little.boot(words[0])
        elif verb == "cut":
            self.little.cut(*words)
        elif verb == "heal":
            self.little.heal()
        elif verb == "disk":
            node = self.little[words[0]]
            if words[1] == "full":
                node.storage_failed("no space left on device")
            else:
                node.storage_recovered()
        elif verb in ("held", "kept"):
            return self._held(words[0], verb == "kept")
        else:
            raise AssertionError(f"what does {line!r} mean?")
        return []

    def _command(self, name: str, commands: str) -> list[str]:
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = self.little.client(name)
        pipeline = [one.split() for one in commands.split(";")]
        for words in pipeline:
            client.send(*(self._named.get(word, b"" if word == '""' else word) for word in words))
        return [self._show(client.receive()) for _ in pipeline]

    def _show(self, reply: object) -> str:
        """A reply, with contexts named in the order of their appearance."""
        if isinstance(reply, list):
            return "[" + ", ".join(self._show(one) for one in reply) + "]"
        if isinstance(reply, bytes):
            if len(reply) > 30 and reply[:1] == b"A":
                name = self._tokens.setdefault(reply, f"ctx{len(self._tokens) + 1}")
                self._named[name] = reply
                return name
            return reply.decode() or '""'
        return "nil" if reply is None else str(reply)

    def _held(self, key: str, is_kept: bool) -> list[str]:
        rows = []
        locator = PREFIX[0][slot_of(key.encode())] + key.encode()
        for index, machine in enumerate(self.little.machines):
            node = machine.node
            record = node.hints.find(locator)[0] if is_kept else node.replica.get(locator)
            if is_kept and not (record and machine.is_running):
                continue
            version = version_of(record, self.little.wall_ms)
            dots = " ".join(version.dots)
            text = f"{chr(65 + index)}: {version.holds} {dots} | {version.context}"
            for actor, name in self._actors.items():
                text = text.replace(actor, name)
            rows.append(text.rstrip(" |") + ("" if machine.is_running else " (stopped)"))
        return rows


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_transcript(path: Path, request: pytest.FixtureRequest) -> None:
    text = path.read_text()
    played = Player().play(text, path.suffix == ".md")
    if request.config.getoption("--rewrite"):
        path.write_text(played)
    assert played == text
