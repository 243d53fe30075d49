"""Clients: they connect to some node, send commands, believe the replies, and give up in time.

A `Client` is one connection after another; a `Worker` is one with a will of its own, which
reads, writes, deletes, expires and puts with contexts on a few keys. Values are unique, so that
every value read names the write it came from. What a worker does with a key depends on the key's
profile, because a key that is sometimes deleted proves less about lost writes than one that never
is:

    register    SET, MSET, GET             nothing may ever be lost
    delete      and DEL, GETDEL, SETNX
    context     DYN.GETCTX, DYN.PUTCTX, DYN.DELCTX only: exact bookkeeping of siblings
    volatile    SET with PX, GET
    expiry      and PEXPIRE, PERSIST
    session     SET once in a while, PEXPIRE for long, GET
    mixed       everything
"""

from collections import deque

import hiredis

from respdyn.node import Node
from respdyn.resp.replies import bulks
from respdyn.resp.requests import RequestLimits, RequestReader
from respdyn.sessions.session import Session
from respdyn.sim import operations, views
from respdyn.sim.chance import Chance
from respdyn.sim.history import Wrong
from respdyn.sim.host import DOWN, UP, Host
from respdyn.sim.operations import Op, Unexpected
from respdyn.sim.world import World

# How much later than its deadline a reply may leave: turns are not instant.
_SLACK_US = 100_000
# They read all that they are sent.
_OUTPUT_MAX = 1 << 30
# Between two attempts to go on with what a node reads no further, and how much of it at a time.
_UNREAD_US = 1_000
_UNREAD_MOST = 1_000


class Client:
    """One client, connected to at most one host at a time."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.chance = Chance(world.plan.seed, f"client {name}")
        self.host: Host | None = None
        self.session: Session | None = None
        self.link = 0                       # grows with every connection; what is older is dropped
        self.waiting: deque[Op] = deque()   # sent, not answered
        self.life = 0
        self._reader = hiredis.Reader()
        self._requests = RequestReader(RequestLimits(), True)
        self.held_us = 0                    # when its next write last waited for a disk
        self._arrival_us = 0
        self._departure_us = 0
        self._gives_up_us = 0

    # ---- for its users ----

    def connect(self, host: Host) -> bool:
        """Connect to a host; False when it is down."""
        assert self.host is None
        if host.state == DOWN:
            return False
        self.link += 1
        self.host = host
        self.life = host.life
        self.session = None
        self._reader = hiredis.Reader()
        host.receive_open(self)
        if not self.world.plan.sloppy:
            self.send([operations.consistency(b"SLOPPY", b"no")])
        return True

    def send(self, ops: list[Op]) -> None:
        """Send some commands at once; `receive` is called for each, `lost` if no reply will come.
        """
        world = self.world
        assert self.host is not None
        for op in ops:
            op.client = self.name
            if world.history.sessions.is_wanted:
                op.session = f"{self.name}#{self.link}"
                op.view = views.view_of(world, self.host)
                op.calm = views.calm_of(world)
                op.calm_us = views.calm_since_us(world) if op.calm is not None else 0
            world.history.begin(op, world.now_us)
            self.waiting.append(op)
            if world.story is not None:
                self._note(op, "sends")
        delay_us = 20 + self.chance.wait(100)
        self._departure_us = max(self._departure_us + 1, world.now_us + delay_us)
        world.at(self._departure_us, self._arrive, (self.link, ops))
        timeout_ms = max(world.plan.request_timeout_ms, *(op.timeout_ms for op in ops))
        self._gives_up_us = world.now_us + 3_000 * timeout_ms + 1_000_000
        world.at(self._gives_up_us, self._give_up, (self.link, self._gives_up_us))

    def hang_up(self) -> None:
        """Close the connection; what was not answered never will be."""
        host = self.host
        if host is None:
            return
        if host.state != DOWN and host.life == self.life:
            host.receive_close(self.session)
        self._disconnected()

    def receive(self, op: Op) -> None:
        """A reply came; for subclasses."""

    def idle(self) -> None:
        """Nothing is waited for, or the connection is gone; for subclasses."""

    # ---- for the host ----

    def open(self, node: Node, link: int) -> None:
        """The connection is accepted."""
        if link == self.link and self.host is not None:
            self._requests = RequestReader(RequestLimits(), True)
            self.session = node.open_session(
                f"10.1.0.{len(self.name)}:{10_000 + self.link % 50_000}",
                self.host.client_address, "client", self,
            )

    def feed(self, node: Node, ops: list[Op], now_us: int) -> None:
        """Commands have reached the node."""
        session = self.session
        if session is None:
            return
        if session.closing:
            return
        for op in ops:
            op.given_us = now_us
        self._requests.feed(b"".join([bulks(op.argv) for op in ops]))
        while node.serve(session, self._requests, len(ops) or _UNREAD_MOST, _OUTPUT_MAX):
            pass
        if self._requests.has_input() and not session.closing:      # it is read no further now
            self.held_us = now_us
            self.world.at(now_us + _UNREAD_US, self._arrive, (self.link, []))

    def take_output(self, session: Session, now_us: int) -> None:
        """The node has replies."""
        if session is not self.session:
            session.take()
            return
        world = self.world
        data = session.take()
        self._arrival_us = max(self._arrival_us + 1, now_us + 20 + self.chance.wait(100))
        if data:
            world.at(self._arrival_us, self._receive, (self.link, data, now_us))
        if session.closing and not session.pending:
            self.session = None
            world.at(self._arrival_us + 1, self._closed, self.link)

    def host_died(self) -> None:
        """The host's process is gone; what it had sent still arrives."""
        self.session = None
        self._arrival_us = max(self._arrival_us + 1, self.world.now_us + 100)
        self.world.at(self._arrival_us, self._closed, self.link)

    # ---- on the way ----

    def _arrive(self, what: tuple[int, list[Op]]) -> None:
        link, ops = what
        host = self.host
        if link == self.link and host is not None and host.life == self.life and host.is_running():
            host.receive_commands(self, link, ops)

    def _receive(self, what: tuple[int, bytes, int]) -> None:
        link, data, sent_us = what
        if link != self.link or self.host is None:
            return
        world = self.world
        world.acting = self.name
        world.stamp(100, data)
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            if not self.waiting:
                raise Wrong(f"{self.name} got the reply {reply!r} without a command")
            op = self.waiting.popleft()
            op.sent_us = sent_us
            if (
                isinstance(reply, hiredis.ReplyError) and "cannot store" in str(reply)
                and "full-disk" not in world.plan.faults
            ):
                raise Wrong(f"{self.name}: {op} was answered {reply}, and no disk was full")
            try:
                operations.answer(op, reply)
            except Unexpected as wrong:
                if world.story is not None:
                    self._note(op, "gets")
                raise Wrong(f"{self.name}: {wrong}", op.key) from None
            if world.story is not None:
                self._note(op, "gets")
            self._check_deadline(op)
            self._check_refusal(op)
            if operations.is_alone(op):     # what stands behind it begins only now
                for behind in self.waiting:
                    behind.given_us = max(behind.given_us, sent_us)
            elif self.waiting and operations.is_alone(self.waiting[0]):     # nor does it before now
                self.waiting[0].given_us = max(self.waiting[0].given_us, sent_us)
            if world.history.sessions.is_wanted:
                op.end_view = views.view_of(world, self.host)
                op.end_calm = views.calm_of(world)
            world.history.complete(op, world.now_us)
            self.receive(op)
        if not self.waiting:
            self.idle()

    def _note(self, op: Op, verb: str) -> None:
        """A line of the story about a command."""
        where = self.host.name if self.host is not None else "no node"
        self.world.note_op(self.name, where, op, verb)

    def _check_deadline(self, op: Op) -> None:
        host = self.host
        assert host is not None
        if self._is_late(op, op.sent_us):
            raise Wrong(
                f"the reply to {op} of {self.name} left {host.name} after"
                f" {op.sent_us - op.given_us} us", op.key,
            )

    def _check_refusal(self, op: Op) -> None:
        """Where nothing happens but that nodes start, the one that does refuses no command."""
        host = self.host
        assert host is not None
        if (
            self.world.plan.faults == ("start",) and self.world.plan.engine != "memory"
            and host.life > 1       # with a memory engine it is filled first, and is no reader
            and op.sent_us < host.started_us + 1_000 * self.world.plan.request_timeout_ms
            and all(other.state == UP for other in self.world.hosts)
            and all(host.started_us >= other.started_us for other in self.world.hosts)
            and isinstance(op.result, hiredis.ReplyError)
            and str(op.result).startswith(("NOQUORUM", "CLUSTERDOWN"))
        ):
            raise Wrong(f"{host.name}, which has just started, answers {op} with {op.result}")

    def _is_late(self, op: Op, now_us: int) -> bool:
        """Whether an answer to what the node was given is overdue, through no fault of its host."""
        host = self.host
        assert host is not None
        timeout_ms = op.timeout_ms or self.world.plan.request_timeout_ms
        if op.kind == "flush":
            timeout_ms *= 2         # two requests: what there is, then to forget that
        limit_us = timeout_ms * 1_010 + _SLACK_US + 3 * host.turn_us
        # A node that has just started lets clients wait until it has met the others; what waited
        # for a disk that is behind has its time from then on.
        met_us = host.started_us + 1_010 * self.world.plan.request_timeout_ms
        given_us = max(op.given_us, met_us, self.held_us)
        return now_us - given_us > limit_us and host.disturbed_us < op.given_us

    def _give_up(self, what: tuple[int, int]) -> None:
        link, gives_up_us = what
        if link != self.link or gives_up_us != self._gives_up_us or not self.waiting:
            return
        host = self.host
        assert host is not None
        op = self.waiting[0]
        if op.given_us and host.state == UP and self._is_late(op, self.world.now_us):
            raise Wrong(f"{host.name} never answered {op} of {self.name}", op.key)
        self.world.count("client gave up")
        self.hang_up()

    def _closed(self, link: int) -> None:
        if link == self.link and self.host is not None:
            self._disconnected()

    def _disconnected(self) -> None:
        host = self.host
        if host is not None and self in host.clients:
            host.clients.remove(self)
        self.host = None
        self.session = None
        self.link += 1
        waiting, self.waiting = self.waiting, deque()
        world = self.world
        for op in waiting:
            world.history.abandon(op)
            if world.story is not None:
                self._note(op, "will never get")
        self.idle()


class Busy(Client):
    """A client with a will of its own, which goes on until `stop`.

    Subclasses `choose` what to send next.
    """

    leaves_before = 0.0     # how often it hangs up instead of sending more
    leaves_after = 0.0      # and how often at once after it has sent something

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.is_stopped = False
        self.will = self.chance     # what it does is drawn from here
        self.written = 0            # values, which are numbered
        self._sleeps = False

    def start(self) -> None:
        """Begin to work, soon."""
        self._sleep(self.will.between(0, 50_000))

    def idle(self) -> None:
        """See `Client.idle`: think, then go on."""
        self._sleep(self.will.wait(self.world.plan.think_us))

    def choose(self) -> list[Op]:
        """What to send at once."""
        raise NotImplementedError

    def _sleep(self, wait_us: int) -> None:
        if not self._sleeps:
            self._sleeps = True
            self.world.after(wait_us, self._work, None)

    def _work(self, _: None) -> None:
        self._sleeps = False
        if self.is_stopped:
            self.hang_up()
            return
        if self.waiting:
            return
        will = self.will
        if self.host is not None and self.leaves_before and will.happens(self.leaves_before):
            self.hang_up()
            return
        if self.host is None and not self.connect(will.pick(self.world.hosts)):
            self._sleep(20_000)
            return
        self.send(self.choose())
        if will.happens(self.leaves_after):
            self.hang_up()


class Worker(Busy):
    """A client that works on the plan's keys."""

    leaves_before = 0.03
    leaves_after = 0.005

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self._flushes = world.plan.flushes
        self._profiles = [(key.encode(), profile) for key, profile in world.plan.keys]
        # Key -> the context that was read last, and the values that it was read with.
        self._tokens: dict[bytes, tuple[bytes, frozenset[bytes]]] = {}

    def receive(self, op: Op) -> None:
        """See `Client.receive`: keep the context."""
        if op.outcome != operations.DONE or not isinstance(op.result, bytes):
            return
        if op.read is not None and op.argv[0] == b"DYN.GETCTX":
            self._tokens[op.key] = (op.result, frozenset(op.read))
        elif op.kind == "put":
            self._tokens[op.key] = (op.result, op.covers | {op.value})
        elif op.kind == "cut":
            self._tokens[op.key] = (op.result, op.covers)

    def choose(self) -> list[Op]:
        """See `Busy.choose`."""
        count = self.chance.between(1, self.world.plan.pipeline)
        return [self._choose() for _ in range(count)]

    # ---- choosing ----

    def _value(self, key: bytes) -> bytes:
        self.written += 1
        padding = self.chance.pick((0, 0, 0, 20, 200, 5_000))
        return b"%b/%b/%d~%b" % (key, self.name.encode(), self.written, b"." * padding)

    def _choose(self) -> Op:
        chance = self.chance
        if chance.happens(0.03):
            self.written += 1
            return operations.echo(b"%b/%d" % (self.name.encode(), self.written))
        if self._flushes and chance.happens(0.02):
            return operations.flush()
        key, profile = chance.pick(self._profiles)
        if profile == "mixed":
            profile = chance.pick(("register", "delete", "context", "expiry"))
        if profile == "register":
            return self._choose_register(key)
        if profile == "delete":
            return self._choose_delete(key)
        if profile == "context":
            return self._choose_context(key)
        if profile == "session":
            return self._choose_session(key)
        return self._choose_expiry(key, profile == "volatile")

    def _others(self, key: bytes, *profiles: str) -> list[bytes]:
        """The key and all others with these profiles."""
        return [key] + [
            other for other, profile in self._profiles if other != key and profile in profiles
        ]

    def _choose_register(self, key: bytes) -> Op:
        lot = self.chance.random()
        if lot < 0.45:
            return operations.set_(key, self._value(key))
        if lot < 0.8:
            return operations.get(key)
        if lot < 0.9:
            return operations.getctx(key)
        keys = self._others(key, "register", "delete", "mixed")
        if lot < 0.95:
            return operations.mget(keys)
        return operations.mset([(each, self._value(each)) for each in keys])

    def _choose_delete(self, key: bytes) -> Op:
        lot = self.chance.random()
        if lot < 0.35:
            return operations.set_(key, self._value(key))
        if lot < 0.6:
            return operations.get(key)
        if lot < 0.7:
            return operations.getctx(key)
        if lot < 0.8:
            return operations.delete([key])
        if lot < 0.85:
            return operations.delete(self._others(key, "delete", "mixed"))
        if lot < 0.9:
            return operations.getdel(key)
        return operations.setnx(key, self._value(key))

    def _choose_context(self, key: bytes) -> Op:
        lot = self.chance.random()
        if lot < 0.3:
            return operations.getctx(key)
        if lot < 0.45:
            return operations.get(key)
        if lot < 0.48:
            return operations.putctx(key, b"", frozenset(), self._value(key))
        token, covers = self._tokens.get(key, (b"", frozenset()))
        if lot < 0.55 and token:
            return operations.delctx(key, token, covers)
        ttl_ms = 0
        if dict(self._profiles)[key] == "mixed" and self.chance.happens(0.1):
            ttl_ms = self.chance.between(200, 5_000)
        return operations.putctx(key, token, covers, self._value(key), ttl_ms)

    def _choose_expiry(self, key: bytes, is_simple: bool) -> Op:
        lot = self.chance.random()
        if lot < 0.25:
            return operations.set_(key, self._value(key), self.chance.between(100, 5_000))
        if lot < 0.4:
            return operations.set_(key, self._value(key))
        if lot < 0.7:
            return operations.get(key)
        if lot < 0.8 or is_simple:
            return operations.getctx(key)
        if lot < 0.92:
            return operations.expire(key, self.chance.between(100, 5_000))
        return operations.persist(key)

    def _choose_session(self, key: bytes) -> Op:
        lot = self.chance.random()
        if lot < 0.06:
            return operations.set_(key, self._value(key))
        if lot < 0.55:
            return operations.expire(key, self.chance.between(200_000, 900_000))
        if lot < 0.6:
            return operations.persist(key)
        return operations.get(key) if lot < 0.9 else operations.getctx(key)
