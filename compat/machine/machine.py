"""Runs random stories at redis-server and at respdyn and compares every reply.

A story begins with RESET on both sides and nothing stored, in RESP2 or RESP3, at a node chosen by
the story. Afterwards everything that either of them holds is compared. What differs is shrunk by
hypothesis to the shortest story that still differs, and printed.
"""

import os
import time
from collections.abc import Callable, Sequence
from types import MappingProxyType

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure

from compat import servers
from compat.machine.differences import NOT_RUN, RUN_BY_STEPS, TAKEN_BY_CHANCE, same
from compat.machine.generate import SETTINGS, story_strategy
from compat.machine.wire import Wire, members
from compat.scope import redis_commands
from respdyn.commands.declare import Command
from respdyn.commands.table import COMMANDS, find

Words = list[bytes]
Story = list[Words]

LONGEST = 20
ROUND = 2000            # stories with one seed
TRIES = 3               # of a story that was answered late
_LATE = (b"-NOQUORUM", b"-TIMEOUT")
_ANOTHER_SLOT = (b"-CROSSSLOT", b"-EXECABORT Transaction discarded because of: CROSSSLOT")
_OTHER_DATABASES = (b"1", b"15")       # that a story may go to


class Differs(AssertionError):
    """A story that the two answer differently."""


class Late(Differs):
    """A node's answer came too late: on a busy machine that says nothing of replies."""


def commands_of_stories() -> list[Command]:
    """The commands that stories in one go are made of: declared, known to Redis, not left out."""
    found = [sub for command in COMMANDS for sub in (command.subcommands or (command,))]
    return [
        one for one in found
        if one.name in redis_commands() and one.name not in RUN_BY_STEPS
        and one.name not in NOT_RUN and one.name.partition("|")[0] not in NOT_RUN
        and one.group != "cluster" and one.promise != "refused"
    ]


# On the cluster port: what is of clusters, and enough besides that there is something to see.
_IN_CLUSTER = frozenset((
    "get", "set", "del", "incr", "append", "mget", "mset", "exists", "keys", "scan", "dbsize",
    "randomkey", "flushall", "flushdb", "select", "move", "copy", "rename", "msetnx", "multi",
    "exec", "discard", "watch", "command|getkeys", "info", "client|id", "spublish", "publish",
))
_ONE_SLOT = MappingProxyType({"key": (b"a", b"{a}", b"x{a}", b"{a}c"), "slot": (
    b"15495", b"15495", b"15495", b"0", b"16383", b"16384", b"-1",
)})


def commands_of_cluster() -> list[Command]:
    """The commands that stories on the cluster port are made of."""
    found = [sub for command in COMMANDS for sub in (command.subcommands or (command,))]
    return [
        one for one in found if one.name in redis_commands()
        and (one.group == "cluster" or one.name in _IN_CLUSTER)
    ]


class Pair:
    """Redis, and respdyn's nodes, with a connection to each."""

    def __init__(self, theirs: Wire, mine: Sequence[Wire]) -> None:
        self._theirs = theirs
        self._mine = mine
        self._is_empty = False
        self.before: Story = []         # the story before this one
        self.stories = 0
        self.commands = 0
        self.late = 0

    def run(self, story: Story, resp3: bool, node: int) -> None:
        """Both run the story, with nothing stored. Raises `Differs`.

        What was answered late is run again, `TRIES` times in all.
        """
        for left in range(TRIES - 1, -1, -1):
            try:
                self._run(story, resp3, node)
            except Late:
                self.late += 1
                if not left:
                    raise
            else:
                return

    def _run(self, story: Story, resp3: bool, node: int) -> None:
        opening = [[b"RESET"], [b"HELLO", b"3" if resp3 else b"2"]]
        if not self._is_empty:
            opening.append([b"FLUSHALL"])
        self._is_empty = False
        mine = self._mine[node % len(self._mine)]
        for side in (self._theirs, mine):
            side.run(opening)
        try:
            replies, others = mine.run(story), self._theirs.run(story)
            if any(reply.startswith(_ANOTHER_SLOT) for reply in others):
                return  # here keys of any slots go together: from then on other things are stored
            same_until = _until_chance(story, replies, others)
            compare(story[:same_until], replies[:same_until], others[:same_until])
            if same_until < len(story):
                return  # each has taken another member away
        finally:
            self._settle(mine, story)
        self._compare_what_is_left(mine, story)
        # Redis counts an expired key until it comes across it, though KEYS does not show it.
        databases = (b"0", *_OTHER_DATABASES)
        look = [words for db in databases for words in ([b"SELECT", db], [b"DBSIZE"])]
        self._is_empty = set(self._theirs.run(look)[1::2]) == {b":0\r\n"}
        self.before = story
        self.stories += 1
        self.commands += len(story)

    def _settle(self, mine: Wire, story: Story) -> None:
        """Set again what the story may have set."""
        if any(words[0].lower() == b"config" for words in story):
            again = [word for setting in SETTINGS.items() for word in setting]
            for side in (mine, self._theirs):
                side.run([[b"RESET"], [b"CONFIG", b"SET", *again]])

    def _compare_what_is_left(self, mine: Wire, story: Story) -> None:
        """Every key on either side, which is deleted then: FLUSHALL costs more."""
        databases = [b"0", *(other for other in _OTHER_DATABASES
                             if any(other in words for words in story))]
        look = [[b"RESET"], *(
            words for number in databases for words in ([b"SELECT", number], [b"KEYS", b"*"])
        )]
        found = self._theirs.run(look)
        compare(look, mine.run(look), found, story)
        left: Story = []
        for number, keys in zip(databases, found[2::2], strict=True):
            names = [key.split(b"\r\n", 1)[1][:-2] for key in members(keys)]
            left.append([b"SELECT", number])
            left += [
                [command, name] for name in names
                for command in (b"TYPE", b"GET", b"HGETALL", b"SMEMBERS", b"PEXPIRETIME")
            ]
            left += [
                words for name in names for words in (
                    [b"LRANGE", name, b"0", b"-1"], [b"ZRANGE", name, b"0", b"-1", b"WITHSCORES"],
                    [b"DEL", name],
                )
            ]
        compare(left, mine.run(left), self._theirs.run(left), story)


def _until_chance(story: Story, mine: list[bytes], theirs: list[bytes]) -> int:
    """How much of a story can be compared: up to where chance took one thing here, another there.

    In a transaction that shows in the reply of EXEC only, so that stays out.
    """
    for at, argv in enumerate(story):
        if argv[0].upper() == TAKEN_BY_CHANCE and at < min(len(mine), len(theirs)):
            shows = at
            if mine[at] == theirs[at] == b"+QUEUED\r\n":
                shows = next((later for later in range(at, min(len(mine), len(theirs)))
                              if story[later][0].upper() == b"EXEC"), at)
            if mine[shows] != theirs[shows] and mine[shows][:1] == theirs[shows][:1] != b"-":
                return at
    return len(story)


def compare(
    story: Story, mine: list[bytes], theirs: list[bytes], before: Sequence[Words] = ()
) -> None:
    """Raises `Differs` at the first reply that is not what it should be.

    `before` was run before and is only shown.
    """
    queue: Story = []
    for at, argv in enumerate(story):
        if at >= len(mine) or at >= len(theirs):
            if len(mine) == len(theirs):
                return
            raise Differs(_difference(story, at, mine, theirs, before))
        reply, other = mine[at], theirs[at]
        command = find(argv)
        name = command.name if command else argv[0].decode("latin-1").lower()
        if reply == other == b"+QUEUED\r\n":
            queue.append(argv)
            continue
        if name == "exec" and reply[:1] == other[:1] == b"*":
            parts, others = members(reply), members(other)
            if len(parts) == len(others) == len(queue):
                compare(queue, parts, others)
                queue = []
                continue
        if name in ("exec", "discard", "reset"):
            queue = []
        if not same(name, argv, reply, other):
            kind = Late if reply.startswith(_LATE) else Differs
            raise kind(_difference(story, at, mine, theirs, before))


def _difference(
    story: Story, at: int, mine: list[bytes], theirs: list[bytes], before: Sequence[Words]
) -> str:
    lines = ["", *("  " + readable(words) for words in [*before, *story[:at + 1]])]
    lines.append(f"  respdyn: {mine[at] if at < len(mine) else 'hung up'!r}")
    lines.append(f"  Redis:   {theirs[at] if at < len(theirs) else 'hung up'!r}")
    return "\n".join(lines)


def readable(words: Words) -> str:
    """A command in one line."""
    shown = [repr(word)[1:] for word in words]
    return " ".join(
        word[1:-1] if word[1:-1].isprintable() and " " not in word and len(word) > 2
        and "\\" not in word else word
        for word in shown
    )


def run_stories(
    pair: Pair, count: int, longest: int = LONGEST, number: int | None = None,
    is_cluster: bool = False,
) -> None:
    """So many random stories. Raises `Differs` with the shortest that differs."""
    # A deadline would blame a story for what a busy machine did.
    @settings(max_examples=count, deadline=None, database=None, print_blob=False,
              phases=(Phase.generate, Phase.shrink), report_multiple_bugs=False,
              suppress_health_check=list(HealthCheck))
    @given(
        story_strategy(commands_of_cluster(), longest, _ONE_SLOT) if is_cluster
        else story_strategy(commands_of_stories(), longest), st.booleans(), st.integers(0, 2),
    )
    def any_story(story: Story, resp3: bool, node: int) -> None:
        pair.run(story, resp3, node)

    if number is not None:
        any_story = seed(number)(any_story)
    any_story()


def run(nodes: int, count: int = 0) -> int:
    """Stories at one node or three; 0 if all were answered alike."""
    with servers.redis() as theirs, servers.respdyn(nodes) as mine:
        pair = Pair(Wire(theirs.host, theirs.port), [Wire(one.host, one.port) for one in mine])
        print(f"{len(commands_of_stories())} commands")
        differs = in_rounds(
            lambda most, number: run_stories(pair, most, number=number),
            lambda: (pair.stories, pair.commands), count, lambda: pair.before,
        )
        alive = sum(one.is_alive() for one in mine)
    print(f"{pair.late} run again")
    if alive < nodes:
        print(f"{nodes - alive} nodes have died")
    return int(differs or alive < nodes)


def run_in_cluster(count: int = 0) -> int:
    """Stories on the cluster port of one node, and to Redis in cluster mode; 0 if all was alike."""
    with servers.redis_cluster_of_one() as theirs, servers.respdyn(1) as (mine,):
        pair = Pair(Wire(theirs.host, theirs.port), [Wire(mine.host, mine.port + 1000)])
        differs = in_rounds(
            lambda most, number: run_stories(pair, most, number=number, is_cluster=True),
            lambda: (pair.stories, pair.commands), count, lambda: pair.before,
        )
        alive = mine.is_alive()
    return int(differs or not alive)


def in_rounds(
    play: Callable[[int, int], None], done_so_far: Callable[[], tuple[int, int]], count: int = 0,
    before: Callable[[], Story] = list,
) -> bool:
    """Play stories in rounds, each with the next seed; whether one differed.

    Hypothesis remembers all stories of a round, so that a long one would become slow and large. A
    round that differs is the last. `play` plays so many with that seed, `done_so_far` counts
    stories and commands, `before` has the story that was run last.
    """
    count = count or int(os.environ.get("STORIES", "2000"))
    number = int(os.environ.get("SEED", "0")) or time.time_ns() % 1_000_000
    differs = ""
    began = time.monotonic()
    stories = commands = 0
    while stories < count and not differs:
        differs = _round(play, min(ROUND, count - stories), number, before)
        stories, commands = done_so_far()
        print(f"  {stories} stories, {commands} commands in"
              f" {time.monotonic() - began:.0f} s, SEED={number}", flush=True)
        number += 1
    if differs:
        print(differs)
    return bool(differs)


def _round(
    play: Callable[[int, int], None], count: int, number: int, before: Callable[[], Story]
) -> str:
    """So many stories of this seed: the one that differs, if one does."""
    try:
        play(count, number)
    except Differs as found:
        return str(found)
    except FlakyFailure as found:
        return "\n".join([
            "not every time:", *map(str, found.exceptions), "and run before it:",
            *map(readable, before()),
        ])
    return ""
