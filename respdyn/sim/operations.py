"""Operations: a client's command, its reply, and what that means for the key.

An operation has one of a few *kinds*, by its effect on a key's versions:

    set      a write that covers what is there (SET, SETNX, MSET)
    put      a write that covers exactly what its context was read with (DYN.PUTCTX)
    remove   a removal of what is there (DEL, GETDEL)
    flush    as many removals as there are keys (FLUSHALL)
    cut      a removal of exactly what its context was read with (DYN.DELCTX)
    expire   a time to live, or its end (EXPIRE, PERSIST)
    tally   an increment of a sum, its removal, or a look at it (HINCRBY; see `tallies`)
    read     GET, MGET, DYN.GETCTX
    other    what touches no key

and one of a few *outcomes*. An error other than a plain refusal leaves open whether the operation
happened, and when; such a one may take effect at any later time.
"""

from collections.abc import Callable

import hiredis

OPEN, DONE, UNKNOWN, NOTHING = range(4)
OUTCOMES = ("open", "done", "unknown", "nothing")
NEVER = 1 << 62

# Errors that say: not done, and will not be. Of several keys they may speak of one only.
REFUSALS = (
    "OVERLOAD", "LOADING", "CLUSTERDOWN", "TOOMANYSIBLINGS", "MISCONF", "TRYAGAIN", "EXECABORT",
    "PARTIAL", "NOGROUP", "BUSYGROUP",
)
_REFUSAL = "nothing was done"
# Errors that leave it open, unless they say so.
DOUBTS = ("NOQUORUM", "TIMEOUT")
# These do all that they do, or nothing.
_SCRIPTS = (b"EVAL", b"EVAL_RO")


class Unexpected(Exception):
    """A reply that no command of this kind may get."""


class Op:
    """One operation of one client; `parts` are the one-key operations of one on several keys."""

    __slots__ = (
        "argv", "calm", "calm_us", "claims", "client", "covered_us", "covers", "end_calm",
        "end_us", "end_view", "floor_us", "given_us", "invoke_us", "is_everywhere", "is_shown",
        "key", "kind", "outcome", "parts", "read", "result", "sent_us", "serial", "session",
        "settle", "timeout_ms", "ttl_us", "value", "view", "was_absent",
    )

    def __init__(
        self, kind: str, argv: list[bytes], settle: Callable[["Op", object], None],
        key: bytes = b"", value: bytes = b"", covers: frozenset[bytes] = frozenset(),
        ttl_us: int = 0, parts: tuple["Op", ...] = (),
    ) -> None:
        self.kind = kind
        self.argv = argv
        self.settle = settle
        self.key = key
        self.value = value              # what it writes
        self.covers = covers            # of a put or cut: the values that its context was read with
        self.ttl_us = ttl_us            # of a set, put or expire; 0 for none
        self.parts = parts
        self.timeout_ms = 0             # of the command; 0: what the node is set to
        self.client = ""
        self.serial = 0                 # in the order of sending
        self.invoke_us = 0
        self.given_us = 0               # when the node was given it
        self.sent_us = 0                # when the node's reply left
        self.end_us = NEVER             # when its effect is certain to be over
        self.outcome = OPEN
        self.result: object = None
        self.read: tuple[bytes, ...] | None = None   # the values that it was shown
        self.was_absent = False         # the reply says that the key is absent
        self.is_shown = False           # and here, that a member is there
        self.claims = True              # it removed or covered what was there, says the reply
        self.floor_us = 0               # see `KeyHistory`
        self.is_everywhere = False      # its acknowledgement says that all owners have it
        self.covered_us = NEVER         # of a write: since when a context has covered it
        # Of which connection, and how its node and all nodes saw each other; see `sessions`.
        self.session = ""
        self.view: tuple[int, ...] | None = None
        self.end_view: tuple[int, ...] | None = None
        self.calm: tuple[tuple[int, ...], ...] | None = None
        self.end_calm: tuple[tuple[int, ...], ...] | None = None
        self.calm_us = 0

    def all(self) -> tuple["Op", ...]:
        """Its one-key operations."""
        return self.parts or (self,)

    def __str__(self) -> str:
        words = [word if len(word) < 40 else word[:37] + b"..." for word in self.argv]
        return b" ".join(words).decode("latin-1")


def answer(op: Op, reply: object) -> None:
    """Take the reply of a command; raises `Unexpected`."""
    op.result = reply
    if isinstance(reply, hiredis.ReplyError):
        word = str(reply).partition(" ")[0]
        is_script = op.argv[0] in _SCRIPTS
        is_refusal = word in REFUSALS or _REFUSAL in str(reply)
        if word not in REFUSALS and word not in DOUBTS and op.kind != "admin" and not (
            is_script and is_refusal
        ):
            raise Unexpected(f"{op} was answered {reply}")
        is_whole = word != "PARTIAL" and (is_script or not op.parts)
        outcome = NOTHING if is_refusal and is_whole else UNKNOWN
        for part in op.all():
            part.outcome = outcome
        op.outcome = outcome
        return
    for part in op.all():
        part.outcome = DONE
    op.outcome = DONE
    op.settle(op, reply)


def is_alone(op: Op) -> bool:
    """Whether it waits for all before it, and all behind it wait for it."""
    return op.kind == "flush" or op.argv[0] in _SCRIPTS


def expect(is_so: bool, op: Op, reply: object) -> None:
    if not is_so:
        raise Unexpected(f"{op} was answered {reply!r}")


# ---- constructors, each with what its reply means ----


def set_(key: bytes, value: bytes, ttl_ms: int = 0) -> Op:
    """SET, perhaps with PX."""
    argv = [b"SET", key, value]
    if ttl_ms:
        argv += (b"PX", b"%d" % ttl_ms)
    return Op("set", argv, _settle_ok, key, value, ttl_us=ttl_ms * 1000)


def _settle_ok(op: Op, reply: object) -> None:
    expect(reply == b"OK", op, reply)


def setnx(key: bytes, value: bytes) -> Op:
    """SETNX: a read that found nothing, and a write; or nothing."""
    return Op("set", [b"SETNX", key, value], settle_setnx, key, value)


def settle_setnx(op: Op, reply: object) -> None:
    expect(reply in (0, 1), op, reply)
    op.was_absent = reply == 1
    op.claims = False
    if reply == 0:
        op.outcome = NOTHING


def mset(pairs: list[tuple[bytes, bytes]]) -> Op:
    """MSET: as many SETs."""
    argv = [b"MSET", *(word for pair in pairs for word in pair)]
    parts = tuple(Op("set", argv, _settle_ok, key, value) for key, value in pairs)
    return Op("set", argv, _settle_ok, parts=parts)


def get(key: bytes) -> Op:
    """GET."""
    return Op("read", [b"GET", key], settle_get, key)


def settle_get(op: Op, reply: object) -> None:
    expect(reply is None or isinstance(reply, bytes), op, reply)
    if isinstance(reply, bytes):
        op.read = (reply,)
    else:
        op.was_absent = True


def mget(keys: list[bytes]) -> Op:
    """MGET: as many GETs."""
    argv = [b"MGET", *keys]
    return Op(
        "read", argv, _settle_mget, parts=tuple(Op("read", argv, settle_get, key) for key in keys)
    )


def _settle_mget(op: Op, reply: object) -> None:
    expect(isinstance(reply, list) and len(reply) == len(op.parts), op, reply)
    assert isinstance(reply, list)
    for part, one in zip(op.parts, reply, strict=True):
        settle_get(part, one)


def delete(keys: list[bytes]) -> Op:
    """DEL of one or several keys."""
    argv = [b"DEL", *keys]
    if len(keys) == 1:
        return Op("remove", argv, settle_delete, keys[0])
    parts = tuple(Op("remove", argv, settle_delete, key) for key in keys)
    return Op("remove", argv, settle_delete, parts=parts)


def settle_delete(op: Op, reply: object) -> None:
    parts = op.all()
    expect(isinstance(reply, int) and 0 <= reply <= len(parts), op, reply)
    for part in parts:
        part.was_absent = reply == 0
        part.claims = reply == len(parts)


def flush() -> Op:
    """FLUSHALL: a removal of every key; the history knows of which."""
    return Op("flush", [b"FLUSHALL"], _settle_ok)


def flushed(op: Op, key: bytes) -> Op:
    """What a FLUSHALL is for one key."""
    part = Op("remove", op.argv, _settle_ok, key)
    part.client, part.serial, part.invoke_us = op.client, op.serial, op.invoke_us
    return part


def getdel(key: bytes) -> Op:
    """GETDEL."""
    return Op("remove", [b"GETDEL", key], _settle_getdel, key)


def _settle_getdel(op: Op, reply: object) -> None:
    settle_get(op, reply)
    op.claims = not op.was_absent


def expire(key: bytes, ttl_ms: int) -> Op:
    """PEXPIRE."""
    argv = [b"PEXPIRE", key, b"%d" % ttl_ms]
    return Op("expire", argv, _settle_expire, key, ttl_us=ttl_ms * 1000)


def _settle_expire(op: Op, reply: object) -> None:
    expect(reply in (0, 1), op, reply)
    if reply == 0:
        op.outcome = NOTHING
        op.was_absent = op.ttl_us > 0


def persist(key: bytes) -> Op:
    """PERSIST."""
    return Op("expire", [b"PERSIST", key], _settle_expire, key)


def getctx(key: bytes, terms: tuple[bytes, ...] = ()) -> Op:
    """DYN.GETCTX, perhaps under DYN.WITH; the result is the context."""
    argv = [b"DYN.WITH", *terms] if terms else []
    return Op("read", [*argv, b"DYN.GETCTX", key], _settle_getctx, key)


def _settle_getctx(op: Op, reply: object) -> None:
    shape = isinstance(reply, list) and len(reply) == 2 and isinstance(reply[0], bytes)
    expect(shape and isinstance(reply[1], list), op, reply)  # type: ignore[index]
    assert isinstance(reply, list)
    op.read = tuple(reply[1])
    op.was_absent = not op.read
    op.result = reply[0]


def putctx(
    key: bytes, token: bytes, covers: frozenset[bytes], value: bytes, ttl_ms: int = 0
) -> Op:
    """DYN.PUTCTX with a context that was read together with the values `covers`."""
    argv = [b"DYN.PUTCTX", key, token, value]
    if ttl_ms:
        argv += (b"PX", b"%d" % ttl_ms)
    return Op("put", argv, _settle_token, key, value, covers, ttl_ms * 1000)


def _settle_token(op: Op, reply: object) -> None:
    expect(isinstance(reply, bytes), op, reply)


def everywhere(op: Op) -> Op:
    """The same write, acknowledged by all owners and by no fallback in their place."""
    op.argv = [b"DYN.WITH", b"SLOPPY", b"no", b"W", b"ALL", *op.argv]
    op.is_everywhere = True
    return op


def delctx(key: bytes, token: bytes, covers: frozenset[bytes]) -> Op:
    """DYN.DELCTX."""
    return Op("cut", [b"DYN.DELCTX", key, token], _settle_token, key, covers=covers)


def echo(text: bytes) -> Op:
    """ECHO: shows replies out of order."""
    return Op("other", [b"ECHO", text], _settle_echo)


def _settle_echo(op: Op, reply: object) -> None:
    expect(reply == op.argv[1], op, reply)


def consistency(*words: bytes) -> Op:
    """DYN.CONSISTENCY for the rest of the connection."""
    return Op("other", [b"DYN.CONSISTENCY", *words], _settle_ok)


def command(timeout_ms: int, *words: bytes) -> Op:
    """Any command, with its own time-out; its result is looked at by who sent it."""
    op = Op("other", [b"DYN.WITH", b"TIMEOUT", b"%d" % timeout_ms, *words], _settle_any)
    op.timeout_ms = timeout_ms
    return op


def administer(timeout_ms: int, *words: bytes) -> Op:
    """DYN.CLUSTER; whatever is answered is no promise about a key."""
    op = Op("admin", [
        b"DYN.WITH", b"TIMEOUT", b"%d" % timeout_ms, b"DYN.CLUSTER", *words
    ], _settle_any)
    op.timeout_ms = timeout_ms
    return op


def _settle_any(op: Op, reply: object) -> None:
    op.result = reply
