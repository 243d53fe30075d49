"""Tasks of the control path: requests to other nodes, and the runner that sends them.

A task is a plain generator. It yields what it waits for, a list of questions, and is resumed with
the list of answers in the same order, None for one that did not come in time. A question goes to a
member by node id (to this node itself: answered on the spot), or it is a command to be run
(`Run`), whose reply bytes are the answer. The generator's return value is the task's result.

Hundreds a second, not tens of thousands: readable objects are welcome here.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Final, TypeVar

import msgspec

from respdyn.cluster.cleared import Tops
from respdyn.cluster.link import Link
from respdyn.cluster.messages import NUMBER, bulk
from respdyn.cluster.questions import (
    Pause,
    Question,
    Run,
    check_answer,
    read_question,
    returns_tops,
    tops_in,
    tops_in_answer,
)
from respdyn.cluster.slices import Job
from respdyn.cluster.this_node import ThisNode
from respdyn.cluster.timeouts import Deadlines
from respdyn.errors import PeerError

# What a question, or a command, is taken for (`slices`), besides what its answer is charged.
QUESTION_STEPS: Final = 50

Request = tuple[str, Question] | Run | Pause
Answer = object
Task = Generator[list[Request], list[Answer], bytes]
T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder()


class _Step:
    """One step of a task: the answers that it waits for."""

    __slots__ = ("answers", "deadline_ms", "done", "is_done", "missing", "task", "timeout_ms")

    def __init__(
        self, task: Task, size: int, deadline_ms: int, timeout_ms: int,
        done: Callable[[bytes], None],
    ) -> None:
        self.task = task
        self.answers: list[Answer] = [None] * size
        self.missing = size
        self.deadline_ms = deadline_ms
        self.timeout_ms = timeout_ms
        self.is_done = False
        self.done = done


class TaskRunner:
    """Runs tasks: sends their questions, collects the answers, and resumes them."""

    def __init__(
        self, node: ThisNode, answer_here: Callable[[Question], Answer],
        run: Callable[[Run, Callable[[bytes], None]], None],
    ) -> None:
        self._counters = node.counters
        self._now = node.now
        self.held: list[tuple[Link, int, bytes]] = []     # this turn's answers that wait for it
        self._stored: deque[tuple[int, Link, int, bytes]] = deque()   # by generation
        self._here = node.identity.node_id
        self._link_to = node.link_to
        self._answer_here = answer_here
        self._run = run
        self._slices = node.slices
        self._ends = node.ends
        self._partitions = node.replica.partitions      # how many there are
        self._running: set[int] = set()  # tasks in the foreground
        self._started = 0
        self._number = 0
        self._open: dict[int, tuple[_Step, int, str, bool]] = {}
        self._deadlines: Deadlines[_Step] = Deadlines()

    def start(self, task: Task, timeout_ms: int, done: Callable[[bytes], None]) -> None:
        """Run a task; `done` gets its result. Each step may take as long as the time-out."""
        self._started += 1
        serial = self._started
        self._running.add(serial)

        def finished(reply: bytes) -> None:
            self._running.discard(serial)
            done(reply)

        self._advance(task, None, timeout_ms, finished)

    def start_quietly(self, task: Task, timeout_ms: int, done: Callable[[bytes], None]) -> None:
        """As `start`, for what no client waits for: it does not keep the node from being idle."""
        self._advance(task, None, timeout_ms, done)

    def _advance(
        self, task: Task, answers: list[Answer] | None, timeout_ms: int,
        done: Callable[[bytes], None],
    ) -> None:
        self._slices.start(self._go_on(task, answers, timeout_ms, done))

    def _go_on(
        self, task: Task, answers: list[Answer] | None, timeout_ms: int,
        done: Callable[[bytes], None],
    ) -> Job:
        """Take steps while this node answers them itself: a walk of a table takes thousands."""
        while True:
            try:
                requests = next(task) if answers is None else task.send(answers)
            except StopIteration as end:
                done(end.value)
                return
            first = requests[0] if requests else None
            wait_ms = first.ms if isinstance(first, Pause) else timeout_ms
            step = _Step(task, len(requests), self._now.now_ms + wait_ms, timeout_ms, done)
            step.missing += 1     # so that answers on the spot do not resume it from within
            for index, request in enumerate(requests):
                self._ask(step, index, request)
            step.missing -= 1
            if step.missing:
                self._deadlines.add(step, wait_ms)
                return
            step.is_done = True
            answers = step.answers
            yield QUESTION_STEPS * len(requests) + self._slices.charged()

    def _ask(self, step: _Step, index: int, request: Request) -> None:
        if isinstance(request, Pause):
            return
        if isinstance(request, Run):
            self._run(request, lambda reply: self._arrived(step, index, reply))
            return
        peer, question = request
        if peer == self._here:
            self._arrived(step, index, self._answer_here(question))
            return
        link = self._link_to(peer)
        if not link.is_connected:
            self._arrived(step, index, None)
            return
        self._number += 1
        self._open[self._number] = (step, index, peer, returns_tops(question))
        link.requests.append(bulk(NUMBER.pack(self._number) + _encoder.encode(question)))

    def _arrived(self, step: _Step, index: int, answer: Answer) -> None:
        step.answers[index] = answer
        step.missing -= 1
        if step.missing == 0 and not step.is_done:
            step.is_done = True
            self._advance(step.task, step.answers, step.timeout_ms, step.done)

    # ---- the peers' side ----

    def questioned(self, link: Link, item: bytes) -> None:
        """A peer's question."""
        number = item[: NUMBER.size]
        if len(number) < NUMBER.size:
            raise PeerError("a question without a number")
        question = read_question(item[NUMBER.size :], self._partitions())
        self._judge(tops_in(question))
        if question is None:
            self._counters.questions_unknown += 1
            link.responses.append(bulk(number + _encoder.encode(None)))
            return
        response = bulk(number + _encoder.encode(self._answer_here(question)))
        if question.stores:
            self.held.append((link, link.peer_epoch, response))
        else:
            link.responses.append(response)

    def answered(self, link: Link, item: bytes) -> None:
        """A peer's answer. One that comes too late, or to no question of ours, is dropped."""
        if len(item) < NUMBER.size:
            raise PeerError("an answer without a number")
        (number,) = NUMBER.unpack(item[: NUMBER.size])
        open_question = self._open.get(number)
        if open_question is None or open_question[2] != link.peer:
            return
        del self._open[number]
        try:
            answer = msgspec.msgpack.decode(item[NUMBER.size :])
        except msgspec.MsgspecError as wrong:
            raise PeerError(f"a malformed answer: {wrong}") from wrong
        if open_question[3]:
            self._judge(tops_in_answer(answer))
        self._arrived(open_question[0], open_question[1], answer)

    def _judge(self, response: Iterable[Tops]) -> None:
        try:
            for tops in response:
                self._ends.check_tops(tops)
        except ValueError as wrong:         # a `DamagedError`, and what msgspec raises, are ones
            raise PeerError(f"a cleared context of {wrong}") from wrong

    def stored(self, generation: int) -> None:
        """What this turn's held answers speak of is durable with this generation; 0: it is now."""
        for link, epoch, response in self.held:
            self._stored.append((generation, link, epoch, response))
        self.held.clear()
        if not generation:
            self.durable(0)

    def durable(self, generation: int) -> None:
        """Everything up to this generation is on this node's disk."""
        stored = self._stored
        while stored and stored[0][0] <= generation:
            _, link, epoch, response = stored.popleft()
            if link.peer_epoch == epoch:
                link.responses.append(response)

    # ---- time and failures ----

    def lose(self, peer: str) -> None:
        """The peer will not answer."""
        for number, (step, index, requested, _) in list(self._open.items()):
            if requested == peer:
                del self._open[number]
                self._arrived(step, index, None)

    def expire(self) -> None:
        """Resume with None what has waited too long."""
        for step in self._deadlines.expired(self._now.now_ms):
            for number, (waiting, _, _, _) in list(self._open.items()):
                if waiting is step:
                    del self._open[number]
            step.is_done = True
            self._advance(step.task, step.answers, step.timeout_ms, step.done)

    def next_deadline(self) -> int:
        """When `expire` has work at the earliest."""
        return self._deadlines.first_ms

    def is_idle(self) -> bool:
        """Whether no task is open that a client waits for."""
        return not self._running

    def running(self) -> set[int]:
        """The tasks that a client waits for, by serial number."""
        return set(self._running)

    def is_running(self, serials: set[int]) -> bool:
        """Whether any of these still runs."""
        return not self._running.isdisjoint(serials)


def answer_as(kind: type[T], answer: Answer) -> T | None:
    """An answer as the type it should have; None when it is missing or malformed."""
    if answer is None:
        return None
    try:
        found = msgspec.convert(answer, kind)
        check_answer(found)
    except ValueError:      # a `msgspec.ValidationError` is one
        return None
    return found
