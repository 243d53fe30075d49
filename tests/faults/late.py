"""Packets that are late: each waits for a time of its own, as on a long and restless line.

Linux has netem for that, where its module is there. This needs only the packet filter: a rule hands
packets to a queue (`-j NFQUEUE`), and `python -m tests.faults.late` gives each back after a while.
One may overtake another, as with netem. It speaks netlink by hand, since that is 60 lines.

Source: linux/netfilter/nfnetlink_queue.h.
"""

import argparse
import heapq
import random
import select
import socket
import struct
import time

QUEUE_MAX = 10_000          # packets that wait; what comes then is lost, as on a real line

_NETFILTER = 12
_QUEUE = 3 << 8             # the subsystem, in a message's type
_PACKET, _VERDICT, _CONFIG = 0, 1, 2
_CFG_CMD, _CFG_PARAMS, _CFG_MAX = 1, 2, 3
_BIND, _COPY_META = 1, 1
_VERDICT_HDR = 2
_ACCEPT = 1
_REQUEST = 1
_HEAD = struct.Struct("=IHHIIBBH")      # netlink's header and netfilter's, whose last is big-endian


def message(kind: int, queue: int, attribute: int, body: bytes) -> bytes:
    """One netlink message with one attribute."""
    padded = body + bytes(-len(body) % 4)
    attributes = struct.pack("=HH", 4 + len(body), attribute) + padded
    return _HEAD.pack(
        _HEAD.size + len(attributes), _QUEUE | kind, _REQUEST, 0, 0, 0, 0, socket.htons(queue),
    ) + attributes


def numbers(data: bytes) -> list[int]:
    """Of the packets that the kernel reports."""
    found = []
    at = 0
    while at + _HEAD.size <= len(data):
        length, kind, *_ = _HEAD.unpack_from(data, at)
        if kind == _QUEUE | _PACKET:        # its first attribute is the packet's header
            found.append(struct.unpack_from(">I", data, at + _HEAD.size + 4)[0])
        at += max(length + -length % 4, _HEAD.size)
    return found


def main() -> None:
    """Give each packet back after a time, until the process is killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queue", type=int, default=1)
    parser.add_argument("--mean-ms", type=float, required=True)
    parser.add_argument("--spread-ms", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    queue = args.queue
    line = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
    line.bind((0, 0))
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    line.send(message(_CONFIG, queue, _CFG_CMD, struct.pack(">BBH", _BIND, 0, 0)))
    line.send(message(_CONFIG, queue, _CFG_PARAMS, struct.pack(">IB", 0, _COPY_META)))
    line.send(message(_CONFIG, queue, _CFG_MAX, struct.pack(">I", QUEUE_MAX)))
    print("late", flush=True)
    waiting: list[tuple[float, int]] = []
    while True:
        left_s = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        if select.select([line], [], [], left_s)[0]:
            for number in numbers(line.recv(1 << 16)):
                spread_ms = rng.uniform(-args.spread_ms, args.spread_ms)
                late_s = max(0.0, args.mean_ms + spread_ms) / 1000
                heapq.heappush(waiting, (time.monotonic() + late_s, number))
        while waiting and waiting[0][0] <= time.monotonic():
            number = heapq.heappop(waiting)[1]
            line.send(message(_VERDICT, queue, _VERDICT_HDR, struct.pack(">II", _ACCEPT, number)))


if __name__ == "__main__":
    main()
