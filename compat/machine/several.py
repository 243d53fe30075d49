"""Runs random stories of several connections at redis-server and at respdyn, step by step.

After each command everything that every connection has received since is compared: the reply, and
whatever came unasked (messages, events, invalidations, a hang-up). What differs is shrunk to the
shortest story that still differs, and printed.

One node alone: of several, a client may be sent the same thing once for each copy.
"""

from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, given, seed, settings

from compat import servers
from compat.machine.cast import HUNG_UP, Cast
from compat.machine.differences import events_left_out
from compat.machine.machine import Differs, Story, in_rounds, readable
from compat.machine.scenes import CAST, LONGEST, Scene, scene_strategy
from compat.machine.wire import members

PATIENCE_S = 0.3        # for what respdyn has yet to say
_LISTENS = [b"PSUBSCRIBE", b"__key*__:*"]


class Stage:
    """Redis and a node of respdyn, with a cast at each."""

    def __init__(self, theirs: Cast, mine: Cast) -> None:
        self._theirs = theirs
        self._mine = mine
        self.stories = 0
        self.commands = 0

    def run(self, scene: Scene) -> None:
        """Both run the story, with nothing stored. Raises `Differs`."""
        for side in (self._theirs, self._mine):
            side.prompt([
                [b"CLIENT", b"UNPAUSE"], [b"FLUSHALL"],
                [b"CONFIG", b"SET", b"notify-keyspace-events", scene.events],
            ])
            side.enter(CAST)
        steps = [(who, [b"HELLO", b"3"]) for who, resp3 in enumerate(scene.resp3) if resp3]
        if scene.events:
            steps.append((CAST - 1, _LISTENS))
        steps += [(who, list(argv)) for who, argv in scene.steps]
        done: Story = []
        for who, argv in steps:
            if not (self._theirs.is_there(who) and self._mine.is_there(who)):
                continue
            done.append([b"%d" % who, *argv])
            for side in (self._theirs, self._mine):
                side.say(who, argv)
            self._compare(scene, done)
        for side in (self._theirs, self._mine):
            side.prompt([[b"CLIENT", b"UNPAUSE"]])
        self._compare(scene, [*done, [b"-", b"CLIENT", b"UNPAUSE"]])
        self._compare_what_is_left(scene, done)
        self.stories += 1
        self.commands += len(done)

    def _compare(self, scene: Scene, done: Story) -> None:
        """Compares what all have received since. Raises `Differs`."""
        self._theirs.settle()
        self._mine.settle()
        theirs = self._theirs.receive()
        mine = self._mine.receive([len(one) for one in theirs], PATIENCE_S)
        # A transaction runs later what was said before.
        left_out = set().union(*(events_left_out(words[1:]) for words in done))
        for who, (ours, other) in enumerate(zip(mine, theirs, strict=True)):
            if not alike(done[-1][1:], _kept(ours, left_out), _kept(other, left_out)):
                raise Differs(_difference(scene, done, who, ours, other))

    def _compare_what_is_left(self, scene: Scene, done: Story) -> None:
        """Every key on either side."""
        look: Story = [[b"SELECT", b"1"], [b"KEYS", b"*"], [b"SELECT", b"0"], [b"KEYS", b"*"]]
        mine, theirs = self._mine.prompt(look), self._theirs.prompt(look)
        for at in (1, 3):
            keys = sorted(members(theirs[at]))
            if sorted(members(mine[at])) != keys:
                raise Differs(_difference(scene, done, -1, mine, theirs))
        names = [key.split(b"\r\n", 1)[1][:-2] for key in keys]
        look = [words for name in names for words in (
            [b"GET", name], [b"LRANGE", name, b"0", b"-1"],
            [b"ZRANGE", name, b"0", b"-1", b"WITHSCORES"],
        )]
        if look and (mine := self._mine.prompt(look)) != (theirs := self._theirs.prompt(look)):
            raise Differs(_difference(scene, [*done, *look], -1, mine, theirs))


def alike(argv: list[bytes], mine: Sequence[bytes], theirs: Sequence[bytes]) -> bool:
    """Whether one connection has received the same at both."""
    if mine == theirs:
        return True
    if argv[0].upper() in (b"UNSUBSCRIBE", b"PUNSUBSCRIBE", b"SUNSUBSCRIBE") and len(argv) == 1:
        # Which of them is left first is Redis's own affair: only the count that is left says it.
        return _left(mine) == _left(theirs)
    # Of several patterns that fit, any may come first.
    return (
        [one for one in mine if not _is_by_pattern(one)]
        == [one for one in theirs if not _is_by_pattern(one)]
        and sorted(filter(_is_by_pattern, mine)) == sorted(filter(_is_by_pattern, theirs))
    )


def _kept(replies: Sequence[bytes], left_out: set[bytes]) -> list[bytes]:
    """Without messages of these events."""
    return [
        one for one in replies
        if not any(one.endswith(b"\r\n%b\r\n" % name) or b"__:%b\r\n" % name in one
                   for name in left_out)
    ]


def _left(replies: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The names that were unsubscribed, and the counts."""
    parts = [members(one) for one in replies if one[:1] in b"*>"]
    return sorted(b"".join(one[:-1]) for one in parts), [one[-1] for one in parts if one]


def _is_by_pattern(reply: bytes) -> bool:
    return b"$8\r\npmessage\r\n" in reply[:20]


def _difference(
    scene: Scene, done: Story, who: int, mine: Sequence[bytes], theirs: Sequence[bytes]
) -> str:
    protocols = " ".join("3" if resp3 else "2" for resp3 in scene.resp3)
    lines = [f"  RESP {protocols}, notify-keyspace-events '{scene.events.decode()}'"]
    lines += ["  " + readable(words) for words in done]
    lines.append(f"  connection {who} receives from respdyn: {_shown(mine)}")
    lines.append(f"  connection {who} receives from Redis:   {_shown(theirs)}")
    return "\n".join(lines)


def _shown(replies: Sequence[bytes]) -> str:
    return ", ".join("hung up" if one == HUNG_UP else repr(one)[1:] for one in replies) or "nothing"


def run_scenes(stage: Stage, count: int, longest: int = LONGEST, number: int = 0) -> None:
    """So many random stories. Raises `Differs` with the shortest that differs."""
    @settings(max_examples=count, deadline=None, database=None, print_blob=False,
              phases=(Phase.generate, Phase.shrink), report_multiple_bugs=False,
              suppress_health_check=list(HealthCheck))
    @given(scene_strategy(longest))
    def any_scene(scene: Scene) -> None:
        stage.run(scene)

    seed(number)(any_scene)()


def run(count: int = 0) -> int:
    """Stories of several connections at one node; 0 if all went alike."""
    with servers.redis() as theirs, servers.respdyn(1) as (mine,):
        stage = Stage(Cast(theirs.host, theirs.port), Cast(mine.host, mine.port))
        differs = in_rounds(
            lambda most, number: run_scenes(stage, most, number=number),
            lambda: (stage.stories, stage.commands), count,
        )
        alive = mine.is_alive()
    if not alive:
        print("the node has died")
    return int(differs or not alive)
