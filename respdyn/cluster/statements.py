"""What a node states of itself to its peers, where more than one room reads it."""

import msgspec

from respdyn.cluster.questions import Natural, Partition


class State(msgspec.Struct, array_like=True):
    """What a node announces of itself."""

    version: Natural = 0                        # the ring that it is settled at
    unfilled: list[Partition] = []              # partitions that it owns and has lost
    filled: list[tuple[Partition, Natural]] = []      # to come: and the move's `begun`
    verified: list[tuple[Partition, Natural]] = []    # proved: and the move's `since`
    leftovers: Natural = 0                      # partitions that it holds and does not own
