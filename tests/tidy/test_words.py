"""Words for which the field has others stay out of the code and of what its users read.

Decision records and the change log are left as they were written.
"""

import re

from tests.tidy.sources import ROOT, SOURCES, name_of

INSTEAD = {
    "told": "sent, reported, announced", "tells": "sends, reports, announces",
    "heard": "received", "hears": "receives",
    "nobody": "no client, no node", "anybody": "a client, a node", "somebody": "a client, a peer",
    "everybody": "all nodes, all members", "whoever": "the client that, the node that",
}
# What travels between nodes keeps its name.
KEPT = {("respdyn/cluster/questions.py", "heard")}
READ = [
    *SOURCES, ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md")),
]


def test_the_words_of_the_field_are_used() -> None:
    assert len(READ) > 300
    found = [
        f"{name_of(path)}:{number}: {word}, better: {INSTEAD[word]}"
        for path in READ
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for word in re.findall(r"[a-z]+", line.lower())
        if word in INSTEAD and (name_of(path), word) not in KEPT
    ]
    assert not found
