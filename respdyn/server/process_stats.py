"""What only the process knows: memory, CPU, bytes on sockets. For INFO, by its field names."""

import os
import platform
import resource
import sys
import time
from pathlib import Path

from respdyn.build import build
from respdyn.metrics import ServerMetrics
from respdyn.node import Node


class ProcessStats:
    """INFO's fields from outside the node, and rates over the last second or so."""

    def __init__(self, node: Node, metrics: ServerMetrics) -> None:
        self._node = node
        self._metrics = metrics
        self._sampled = (time.monotonic(), 0, 0, 0, 0, 0)
        self._rates = [0.0] * 5

    def sample(self) -> None:
        """Note the counters; to be called about every second."""
        before = self._sampled
        metrics = self._metrics
        self._sampled = now = (
            time.monotonic(), sum(self._node.sessions.calls.values()),
            metrics.client_bytes_in, metrics.client_bytes_out,
            metrics.peer_bytes_in, metrics.peer_bytes_out,
        )
        seconds = max(now[0] - before[0], 0.001)
        self._rates = [
            max(0.0, (new - old) / seconds) for new, old in zip(now[1:], before[1:], strict=True)
        ]

    def __call__(self) -> dict[str, str]:
        metrics = self._metrics
        usage = resource.getrusage(resource.RUSAGE_SELF)
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        resident = resident_bytes()
        operations, bytes_in, bytes_out, peers_in, peers_out = self._rates
        return {
            "process_id": str(os.getpid()),
            "respdyn_build": build(),
            "os": f"{platform.system()} {platform.release()} {platform.machine()}",
            "gcc_version": _compiler(),
            "executable": sys.executable,
            "used_memory_rss": str(resident),
            "total_system_memory": str(os.sysconf("SC_PHYS_PAGES") * resource.getpagesize()),
            "used_cpu_sys": f"{usage.ru_stime:.6f}",
            "used_cpu_user": f"{usage.ru_utime:.6f}",
            "used_cpu_sys_children": f"{children.ru_stime:.6f}",
            "used_cpu_user_children": f"{children.ru_utime:.6f}",
            "used_cpu_sys_main_thread": f"{usage.ru_stime:.6f}",
            "used_cpu_user_main_thread": f"{usage.ru_utime:.6f}",
            "instantaneous_ops_per_sec": f"{operations:.0f}",
            "instantaneous_input_kbps": f"{bytes_in / 1024:.2f}",
            "instantaneous_output_kbps": f"{bytes_out / 1024:.2f}",
            "instantaneous_input_repl_kbps": f"{peers_in / 1024:.2f}",
            "instantaneous_output_repl_kbps": f"{peers_out / 1024:.2f}",
            "total_reads_processed": str(metrics.client_reads),
            "total_writes_processed": str(metrics.client_writes),
            "total_net_input_bytes": str(metrics.client_bytes_in),
            "total_net_output_bytes": str(metrics.client_bytes_out),
            "total_net_repl_input_bytes": str(metrics.peer_bytes_in),
            "total_net_repl_output_bytes": str(metrics.peer_bytes_out),
            "rejected_connections": str(metrics.clients_refused + metrics.clients_protected),
        }


def _compiler() -> str:
    """The version of the compiler that made this Python, if that was GCC."""
    name, _, version = platform.python_compiler().partition(" ")
    return version.split(" ")[0] if name == "GCC" and version else "0.0.0"


def resident_bytes() -> int:
    """Resident memory of this process; its greatest where the present one is unknown."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * rss_unit()


def rss_unit() -> int:
    """Bytes in the unit of `ru_maxrss`, which is not the same everywhere."""
    return 1 if sys.platform == "darwin" else 1024
