"""Tells random stories of several connections to redis-server and to respdyn, step by step.

After each command everything that every connection has received since is compared: the reply, and
whatever came unasked (messages, events, invalidations, a hang-up). What differs is shrunk to the
shortest story that still differs, and printed.

One node alone: of several, a client may be told the same thing once for each copy.
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

    def tell(self, scene: Scene) -> None:
        """Both hear the story, with nothing stored. Raises `Differs`."""
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
        told: Story = []
        for who, argv in steps:
            if not (self._theirs.is_there(who) and self._mine.is_there(who)):
                continue
            told.append([b"%d" % who, *argv])
            for side in (self._theirs, self._mine):
                side.say(who, argv)
            self._compare(scene, told)
        for side in (self._theirs, self._mine):
            side.prompt([[b"CLIENT", b"UNPAUSE"]])
        self._compare(scene, [*told, [b"-", b"CLIENT", b"UNPAUSE"]])
        self._compare_what_is_left(scene, told)
        self.stories += 1
        self.commands += len(told)

    def _compare(self, scene: Scene, told: Story) -> None:
        """What all have heard since. Raises `Differs`."""
        self._theirs.settle()
        self._mine.settle()
        theirs = self._theirs.receive()
        mine = self._mine.receive([len(one) for one in theirs], PATIENCE_S)
        # A transaction runs later what was said before.
        left_out = set().union(*(events_left_out(words[1:]) for words in told))
        for who, (heard, other) in enumerate(zip(mine, theirs, strict=True)):
            if not alike(told[-1][1:], _heard(heard, left_out), _heard(other, left_out)):
                raise Differs(_tell_of(scene, told, who, heard, other))

    def _compare_what_is_left(self, scene: Scene, told: Story) -> None:
        """Every key on either side."""
        look: Story = [[b"SELECT", b"1"], [b"KEYS", b"*"], [b"SELECT", b"0"], [b"KEYS", b"*"]]
        mine, theirs = self._mine.prompt(look), self._theirs.prompt(look)
        for at in (1, 3):
            keys = sorted(members(theirs[at]))
            if sorted(members(mine[at])) != keys:
                raise Differs(_tell_of(scene, told, -1, mine, theirs))
        names = [key.split(b"\r\n", 1)[1][:-2] for key in keys]
        look = [words for name in names for words in (
            [b"GET", name], [b"LRANGE", name, b"0", b"-1"],
            [b"ZRANGE", name, b"0", b"-1", b"WITHSCORES"],
        )]
        if look and (mine := self._mine.prompt(look)) != (theirs := self._theirs.prompt(look)):
            raise Differs(_tell_of(scene, [*told, *look], -1, mine, theirs))


def alike(argv: list[bytes], mine: Sequence[bytes], theirs: Sequence[bytes]) -> bool:
    """Whether one connection has heard the same at both."""
    if mine == theirs:
        return True
    if argv[0].upper() in (b"UNSUBSCRIBE", b"PUNSUBSCRIBE", b"SUNSUBSCRIBE") and len(argv) == 1:
        # Which of them is left first is Redis's own affair: only the count that is left says it.
        return _left(mine) == _left(theirs)
    # Of several patterns that fit, any may be told first.
    return (
        [one for one in mine if not _is_by_pattern(one)]
        == [one for one in theirs if not _is_by_pattern(one)]
        and sorted(filter(_is_by_pattern, mine)) == sorted(filter(_is_by_pattern, theirs))
    )


def _heard(replies: Sequence[bytes], left_out: set[bytes]) -> list[bytes]:
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


def _tell_of(
    scene: Scene, told: Story, who: int, mine: Sequence[bytes], theirs: Sequence[bytes]
) -> str:
    protocols = " ".join("3" if resp3 else "2" for resp3 in scene.resp3)
    lines = [f"  RESP {protocols}, notify-keyspace-events '{scene.events.decode()}'"]
    lines += ["  " + readable(words) for words in told]
    lines.append(f"  connection {who} hears of respdyn: {_shown(mine)}")
    lines.append(f"  connection {who} hears of Redis:   {_shown(theirs)}")
    return "\n".join(lines)


def _shown(replies: Sequence[bytes]) -> str:
    return ", ".join("hung up" if one == HUNG_UP else repr(one)[1:] for one in replies) or "nothing"


def tell_scenes(stage: Stage, count: int, longest: int = LONGEST, number: int = 0) -> None:
    """So many random stories. Raises `Differs` with the shortest that differs."""
    @settings(max_examples=count, deadline=None, database=None, print_blob=False,
              phases=(Phase.generate, Phase.shrink), report_multiple_bugs=False,
              suppress_health_check=list(HealthCheck))
    @given(scene_strategy(longest))
    def any_scene(scene: Scene) -> None:
        stage.tell(scene)

    seed(number)(any_scene)()


def run(count: int = 0) -> int:
    """Stories of several connections at one node; 0 if all went alike."""
    with servers.redis() as theirs, servers.respdyn(1) as (mine,):
        stage = Stage(Cast(theirs.host, theirs.port), Cast(mine.host, mine.port))
        differs = in_rounds(
            lambda most, number: tell_scenes(stage, most, number=number),
            lambda: (stage.stories, stage.commands), count,
        )
        alive = mine.is_alive()
    if not alive:
        print("the node has died")
    return int(differs or not alive)
