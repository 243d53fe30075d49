"""Words for which the field has others stay out of the code, its tests, and what its users read.

Decision records and the change log are left as they were written.
"""

import re
from pathlib import Path

from tests.tidy.sources import ROOT, SOURCES, name_of

INSTEAD = {
    "told": "sent, reported, announced", "tell": "send, report, announce",
    "tells": "sends, reports, announces", "telling": "sending, reporting, announcing",
    "heard": "received", "hear": "receive", "hears": "receives", "hearing": "receiving",
    "nobody": "no client, no node", "anybody": "a client, a node", "somebody": "a client, a peer",
    "everybody": "all nodes, all members", "whoever": "the client that, the node that",
}
KEPT = {
    ("respdyn/cluster/questions.py", "heard"),      # what travels between nodes keeps its name
    ("respdyn/commands/scripting.py", "tell"),      # Redis's text
}
TEXTS = {".py", ".txt", ".mjs", ".md", ".lua", ".sh", ".yml", ".html", ".js"}
READ = [
    *SOURCES, ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md")),
    *sorted(
        path for room in ("tests", "compat") for path in (ROOT / room).rglob("*")
        if path.suffix in TEXTS and "node_modules" not in path.parts and path != Path(__file__)
    ),
]


def private_words(text: str) -> list[tuple[int, str]]:
    """The words of a text that have better ones, with their lines."""
    return [
        (number, word) for number, line in enumerate(text.splitlines(), 1)
        for word in map(str.lower, re.findall(r"[A-Z]?[a-z]+|[A-Z]+", line)) if word in INSTEAD
    ]


def test_the_words_of_the_field_are_used() -> None:
    assert len(READ) > 600
    found = [
        f"{name_of(path)}:{number}: {word}, better: {INSTEAD[word]}"
        for path in READ
        for number, word in private_words(path.read_text())
        if (name_of(path), word) not in KEPT
    ]
    assert not found


def test_it_finds_private_words() -> None:
    text = "def is_told(): pass  # Nobody looks; retold is a word.\nTOLD = HearsAll"
    assert private_words(text) == [(1, "told"), (1, "nobody"), (2, "told"), (2, "hears")]
