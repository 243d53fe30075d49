"""What the documents quote from the log, from INFO and from /metrics is what the code says."""

import ast
import re

from tests.tidy.sources import PACKAGE, ROOT, SOURCES, name_of, tree_of

DOCUMENTS = [
    ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "respdyn/server/log.py",
    *sorted((ROOT / "docs").glob("*/alerts*")),
]
NAME = r"[a-z]+(?:_[a-z]+)*"
LINE = re.compile(rf"^(?:\d{{4}}-\d\d-\d\dT\S+ )?({NAME})((?: (?:{NAME}=|\.\.\.)[^=]*?)+)$")
FIELD = re.compile(rf"(?:^| )({NAME})=")
# Who hands an event's name on to `event`, by the place of the name among its arguments.
PASSES_ON = {"event": 0, "_event": 0, "log_once": 1}
# Names that the code puts together, and one that is of a compose file.
MADE_OF_PARTS = {"move_to", "rename_from", "stop_grace_period"}


def logged() -> dict[str, set[str] | None]:
    """By event, the fields that any of its lines has; None: fields of any name."""
    found: dict[str, set[str] | None] = {}
    for path in SOURCES:
        for call in ast.walk(tree_of(path)):
            if not isinstance(call, ast.Call):
                continue
            by = call.func
            way = by.attr if isinstance(by, ast.Attribute) else by.id if isinstance(
                by, ast.Name) else ""
            at = PASSES_ON.get(way)
            if at is None or len(call.args) <= at:
                continue
            fields = {one.arg for one in call.keywords if one.arg is not None}
            is_any = way == "log_once" or any(one.arg is None for one in call.keywords)
            for part in ast.walk(call.args[at]):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    if way == "_event" and part.value.startswith("storage_"):
                        continue            # the node logs that in its own words, see `serve`
                    before = found.setdefault(part.value, set())
                    if before is None or is_any:
                        found[part.value] = None
                    else:
                        before |= fields
    return found


def quoted() -> list[tuple[str, str]]:
    """Where, and what: each code span, and each line of a block of code."""
    found = []
    for path in DOCUMENTS:
        text = path.read_text()
        spans = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.S))
        lines = [line.strip() for block in re.findall(r"```.*?```", text, flags=re.S)
                 for line in block.splitlines()]
        if path.suffix == ".py":
            lines = [line.strip() for line in text.splitlines() if line.startswith("    20")]
        found += [(name_of(path), " ".join(one.split())) for one in spans + lines]
    return found


def wrong_lines(quotes: list[tuple[str, str]]) -> list[str]:
    """Of these quotes, the log lines that no code writes."""
    events = logged()
    wrong = []
    for where, quote in quotes:
        line = LINE.match(quote)
        is_known = line is not None and line[1] in events
        if line is None or not (is_known or "_" in line[1] or quote[:2] == "20"):
            continue
        fields = events.get(line[1], set())
        if line[1] not in events:
            wrong.append(f"{where}: no event {line[1]}: {quote}")
        elif fields is not None and (more := set(FIELD.findall(line[2])) - fields):
            wrong.append(f"{where}: {line[1]} has no field {', '.join(sorted(more))}: {quote}")
        elif re.search("=(True|False)( |$)", quote):
            wrong.append(f"{where}: the log says yes and no: {quote}")
    return wrong


def test_quoted_log_lines_are_those_that_the_code_writes() -> None:
    quotes = quoted()
    assert wrong_lines(quotes) == []
    assert sum(LINE.match(quote) is not None for _, quote in quotes) >= 3, "some are quoted"


def test_a_wrong_word_would_be_found() -> None:
    made_up = [
        ("x", "peer_gone peer=5f3a"), ("x", "peer_up peer=5f3a round_trip_ms=0.4"),
        ("x", "2026-11-21T03:00:00.123Z storage_failed why=full"), ("x", "stopped flushed=True"),
        ("x", "loaded pairs=3"),
    ]
    assert len(wrong_lines(made_up)) == len(made_up)
    assert wrong_lines([("x", "peer_down peer=5f3a reason=silent")]) == []


def test_names_that_are_quoted_are_somewhere_in_the_code() -> None:
    """INFO's fields, metrics and events alike."""
    words: set[str] = set()
    for path in PACKAGE.rglob("*"):
        if path.suffix in {".py", ".html", ".js"}:
            words.update(plain(word) for word in re.findall(r"[a-z0-9_]+", path.read_text()))
    names = [(where, name) for where, name in quoted() if re.match(r"[a-z]+(_[a-z]+)+$", name)]
    assert len(names) > 100
    unknown = [f"{where}: {name}" for where, name in names if plain(name) not in words]
    assert [one for one in unknown if one.rpartition(" ")[2] not in MADE_OF_PARTS] == []


def plain(name: str) -> str:
    """A name without what says in which list it stands, and its unit."""
    name = re.sub("^(respdyn_|redis_|dynamo_)", "", name)
    return re.sub("(_seconds|_bytes)?(_total)?$", "", name)
