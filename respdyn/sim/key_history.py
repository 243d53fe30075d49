"""The history of one key: its writes, removals and expiries, and what they leave unexplained."""

from collections.abc import Collection

from respdyn.sim.operations import DONE, NEVER, NOTHING, Op


class KeyHistory:
    """What happened to one key."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.writes: dict[bytes, Op] = {}       # by value, which is unique
        self.expiries: list[Op] = []
        # Whatever was acknowledged before this time has certainly been covered or removed: the
        # latest beginning of an acknowledged operation that covers what it meets.
        self.floor_us = -1
        self.anchored_us = NEVER        # since when all owners have had a value
        self.removable_us = NEVER       # since when something may have removed or expired it
        # What may still matter to the question whether something is lost; see `forget`.
        self._writes: list[Op] = []
        self._removals: list[Op] = []
        self._expiries: list[Op] = []
        self._mark = (-1, -1)                   # (a time, the floor then)
        self._since = 0                         # operations since then

    def add(self, op: Op) -> None:
        """An operation begins."""
        if op.ttl_us or op.kind in ("remove", "cut", "expire"):
            self.removable_us = min(self.removable_us, op.invoke_us)
        if op.value:
            assert op.value not in self.writes, "values are unique"
            self.writes[op.value] = op
            self._writes.append(op)
        elif op.kind in ("remove", "cut"):
            self._removals.append(op)
        elif op.kind == "expire":
            self.expiries.append(op)
            self._expiries.append(op)
        self._since += 1

    def forget(self, now_us: int, oldest_open_us: int) -> None:
        """Drop what can neither be lost nor explain a loss, so that judging stays quick.

        What lies below the floor was covered by the operation that set the floor. That one stays,
        and as long as it is explained or shown, it explains all that lies below it. The same holds
        for a put that an acknowledged context covered. No read that is under way may have begun
        before: `oldest_open_us` is the beginning of the oldest.
        """
        if self._since < 32 or oldest_open_us <= self._mark[0]:
            return
        floor_us = self._mark[1]
        self._mark = (now_us, self.floor_us)
        self._since = 0

        def matters(op: Op) -> bool:
            return op.outcome != NOTHING and (
                op.outcome != DONE or (
                    op.end_us >= floor_us
                    and not (op.kind == "put" and op.covered_us < oldest_open_us)
                    and not (op.kind == "cut" and op.end_us < oldest_open_us)
                )
            )

        self._writes = [op for op in self._writes if matters(op)]
        self._removals = [op for op in self._removals if matters(op)]
        self._expiries = [op for op in self._expiries if matters(op)]

    def unexplained(
        self, present: Collection[bytes], acknowledged_us: int, now_us: int, floor_us: int,
        margin_us: int, covers_meet: bool,
    ) -> Op | None:
        """An acknowledged write that is not present and that nothing can have removed, or None.

        `acknowledged_us`: those acknowledged before it are looked for. `now_us`: nothing that began
        later counts. `floor_us`: the floor then. `margin_us`: how much clocks may disagree.
        `covers_meet`: a SET covers what was acknowledged before it.
        """
        missing = [
            write for write in self._writes
            if write.value not in present and write.invoke_us < now_us and write.outcome != NOTHING
        ]
        wanted = [
            write for write in missing
            if write.outcome == DONE and floor_us <= write.end_us < acknowledged_us
            and write.covered_us >= acknowledged_us
        ]
        if not wanted:
            return None
        # `reach` is the latest time at which what is explained so far can have covered something.
        reach_us = -1
        contexts: list[tuple[int, frozenset[bytes]]] = []
        roots = [op for op in self._removals if op.invoke_us < now_us and op.outcome != NOTHING]
        roots += [self.writes[value] for value in present if value in self.writes]
        # What an acknowledged context covered has certainly been there.
        roots += [w for w in missing if w.covered_us < acknowledged_us]
        for op in roots:
            if op.kind in ("put", "cut"):
                contexts.append((op.end_us, op.covers))
            else:
                reach_us = max(reach_us, min(op.end_us, op.covered_us))
        expired = [w for w in missing if self._may_be_expired(w, now_us, margin_us)]
        for op in expired:
            # It may hide its siblings, and what its clock alone puts before it.
            reach_us = max(reach_us, op.end_us if covers_meet else NEVER)
        if expired:
            missing = [w for w in missing if w.kind != "put"]
            wanted = [w for w in wanted if w.kind != "put"]
        return _follow(missing, wanted, reach_us, contexts, roots + expired)

    def _may_be_expired(self, write: Op, now_us: int, margin_us: int) -> bool:
        if write.ttl_us and write.invoke_us + write.ttl_us - margin_us <= now_us:
            return True
        return any(
            op.ttl_us and op.outcome != NOTHING and write.invoke_us < op.end_us
            and op.invoke_us + op.ttl_us - margin_us <= now_us
            for op in self._expiries
        )

    def may_hold(self, end_us: int, floor_us: int) -> bool:
        """Whether a write that began before `end_us` may not lie below the floor."""
        return any(
            write.invoke_us < end_us and write.outcome != NOTHING and write.end_us >= floor_us
            for write in reversed(self.writes.values())
        )

    def may_expire(self) -> bool:
        """Whether any time to live was ever set."""
        return bool(self.expiries) or any(write.ttl_us for write in self.writes.values())

    def must_be_expired(self, write: Op, now_us: int, margin_us: int) -> bool:
        """Whether the value's own time to live is certainly over, and nothing prolonged it."""
        return (
            write.ttl_us > 0 and write.outcome == DONE
            and write.end_us + write.ttl_us + margin_us < now_us
            and not any(
                op.outcome != NOTHING and write.invoke_us < op.end_us for op in self.expiries
            )
        )


def _follow(
    missing: list[Op], wanted: list[Op], reach_us: int,
    contexts: list[tuple[int, frozenset[bytes]]], roots: list[Op],
) -> Op | None:
    """Follow chains of what covers what until nothing more is explained; one of `wanted` left."""
    explained = {id(op) for op in roots}
    limits: dict[int, int] = {}
    changed = True
    while changed:
        changed = False
        if all(op.invoke_us < reach_us for op in wanted):
            return None
        for op in missing:
            limit_us = reach_us if op.invoke_us < reach_us else -1
            for end_us, covers in contexts:
                if op.value in covers and op.invoke_us < end_us:
                    limit_us = max(limit_us, end_us)
            if limit_us < 0 or limits.get(id(op), -1) >= limit_us:
                continue
            limits[id(op)] = limit_us
            explained.add(id(op))
            changed = True
            # What it covered, it covered before it was covered itself.
            until_us = min(op.end_us, limit_us)
            if op.kind == "set":
                reach_us = max(reach_us, until_us)
            else:
                contexts.append((until_us, op.covers))
    return next((op for op in wanted if id(op) not in explained), None)
