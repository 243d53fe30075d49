"""A server of one dictionary: runs the pure functions of commands without a cluster around them."""

import random

from respdyn.causal.codec import context_of, join_records
from respdyn.causal.dot import intern_actor
from respdyn.causal.parts import fitting
from respdyn.causal.tokens import Seal
from respdyn.commands import scan
from respdyn.commands.declare import GATHER, READ, UPDATE, WRITE
from respdyn.commands.folding import first_error
from respdyn.commands.table import lookup
from respdyn.errors import ReplyError
from respdyn.resp.replies import OK, array, bulk, bulks, error, integer
from respdyn.types import values

ACTOR = intern_actor(b"a life of a node")
KEYS = (b"a key that the members share ...",)


class Executor:
    """Sixteen databases, the first of them in use. `now_ms` is set by the test."""

    def __init__(self, now_ms: int, resp3: bool = False) -> None:
        self.now_ms = now_ms
        self.resp3 = resp3
        self.databases: list[dict[bytes, bytes]] = [{} for _ in range(16)]
        self.records = self.databases[0]
        self.counter = 0
        self.chance = random.Random(11)

    def __call__(self, *argv: bytes) -> bytes:
        """The reply."""
        try:
            return self._run(list(argv))
        except ReplyError as wrong:
            return error(wrong.text)

    def _run(self, argv: list[bytes]) -> bytes:
        command = lookup(argv)
        if command.single is not None and len(argv) == 2:
            command = command.single
        if command.route == GATHER:
            first = command.parts(argv)
            if command.other_key is not None and command.other_key(argv) == (0, argv[1]):
                raise ReplyError("ERR source and destination objects are the same")
            null = command.nulls[self.resp3]
            replies = [
                null if null and reply.startswith(b"-WRONGTYPE") else reply
                for reply in (self._part(part) for part in first)
            ]
            if command.then is None:
                return command.fold(replies)
            here = self.records
            outcome = first_error(replies) or command.then(argv, replies, self.resp3)
            while not isinstance(outcome, bytes):
                if outcome.db is not None:
                    self.records = self.databases[outcome.db]
                replies = [self._run(part) for part in outcome.parts]
                self.records = here
                outcome = first_error(replies) or outcome.then(replies)
            return outcome
        if command.route == READ:
            rec = self.records.get(argv[command.keys.first], b"")
            if command.draws:
                argv = [*argv, self.chance.randbytes(8)]
            if command.wants_seal:
                return command.read_at(argv, rec, self.now_ms, self.resp3, Seal(KEYS, argv[1]))
            return command.read(argv, rec, self.now_ms, self.resp3)
        if command.route in (WRITE, UPDATE):
            return self._write(argv)
        return self._cover(command.name, argv)

    def _part(self, argv: list[bytes]) -> bytes:
        try:
            return self._run(argv)
        except ReplyError as wrong:
            return error(wrong.text)

    def _write(self, argv: list[bytes]) -> bytes:
        command = lookup(argv)
        command = command.single or command
        key = argv[command.keys.first]
        rec = self.records.get(key, b"")
        self.counter += 1
        stamp = (ACTOR, self.counter, 0, self.now_ms << 16)
        if command.wants_place:
            argv = [*argv, b"1"]
        if command.wants_seal:
            reply, delta = command.write_at(
                argv, rec, self.now_ms, self.resp3, stamp, Seal(KEYS, key)
            )
        else:
            reply, delta = command.write(argv, rec, self.now_ms, self.resp3, stamp)
        if delta:
            self.counter = max(self.counter, context_of(delta).top(ACTOR))
            self.records[key] = fitting(join_records(rec, delta) if rec else delta)
        return reply

    def _live(self) -> list[bytes]:
        return [key for key, rec in self.records.items() if values.exists(rec, self.now_ms)]

    def _cover(self, name: str, argv: list[bytes]) -> bytes:
        if name == "scan":
            request = scan.parse_scan(argv)
            found = [
                key for key in self._live()
                if (request.match is None or scan.glob_match(request.match, key))
                and (request.type is None or request.type.lower() == b"string")
            ]
            return array([bulk(b"0"), bulks(found)])
        if name == "keys":
            pattern = scan.parse_keys(argv)
            return bulks([key for key in self._live() if scan.glob_match(pattern, key)])
        if name == "dbsize":
            return integer(len(self._live()))
        assert name in ("flushdb", "flushall"), name
        scan.parse_flush(argv)
        for records in self.databases if name == "flushall" else [self.records]:
            records.clear()
        return OK
