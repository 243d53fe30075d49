"""Addresses, ports and descriptors: what the operating system must grant before a node can serve.

Ports are bound before data is loaded, so that a port in use is reported at once, and listened on
after, so that no client is let in too early.
"""

import errno
import resource
import socket
from dataclasses import replace
from typing import Final

from respdyn.config import Settings, is_clustered, is_loopback_only

SPARE_DESCRIPTORS: Final = 128      # beside those of clients: peers, files, listeners
WILDCARDS: Final = frozenset({"0.0.0.0", "::", "*"})


class StartError(Exception):
    """The node cannot start. One line for the person who started it."""


def bind_all(settings: Settings) -> dict[str, list[socket.socket]]:
    """Bound sockets by setting: port, tls-port, peer-port ... Raises `StartError`."""
    bound: dict[str, list[socket.socket]] = {}
    try:
        for name, port in ports(settings).items():
            bound[name] = []
            for address in settings.bind:
                bound[name].append(_bind(name, address, port))
    except StartError:
        for sockets in bound.values():
            for sock in sockets:
                sock.close()
        raise
    return bound


def ports(settings: Settings) -> dict[str, int]:
    """What this node listens on. Without a secret, strangers get no peer port to try."""
    wanted = {
        "port": settings.client_port, "cluster-port": settings.cluster_port,
        "tls-port": settings.tls_port, "tls-cluster-port": settings.tls_cluster_port,
    }
    wanted = {name: port for name, port in wanted.items() if port}
    if is_clustered(settings) or settings.peer_secret or is_loopback_only(settings.bind):
        wanted["peer-port"] = settings.peer_port
    if settings.http_port:
        wanted["http-port"] = settings.http_port
    return wanted


def in_use(name: str, address: str, port: int) -> StartError:
    """The error for a port that another process has."""
    return StartError(f"{name} {port} on {address} is in use by another process;"
                      f" stop it or choose another with --{name}")


def _bind(name: str, address: str, port: int) -> socket.socket:
    host = "0.0.0.0" if address == "*" else address
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        raise StartError(f"bind {address}: no such address") from None
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind(target)
    except OSError as wrong:
        sock.close()
        if wrong.errno == errno.EADDRINUSE:
            raise in_use(name, address, port) from None
        if wrong.errno == errno.EADDRNOTAVAIL:
            raise StartError(f"bind {address}: this machine has no such address") from None
        raise StartError(f"{name} {port} on {address}: {wrong.strerror}") from None
    return sock


def announced_host(settings: Settings) -> str:
    """The address to announce to clients and peers: given, bound to, or this machine's own."""
    if settings.host:
        return settings.host
    first = settings.bind[0]
    if first not in WILDCARDS:
        return first
    # No packet is sent: connecting a datagram socket only chooses the source address.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def raise_descriptors(settings: Settings) -> tuple[Settings, str]:
    """Raise the limit on open files to what is allowed; fewer clients if it does not suffice.

    Returns the settings to use and a warning, "" if there is none. Raises `StartError`.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.max_clients + SPARE_DESCRIPTORS
    if hard == resource.RLIM_INFINITY:
        hard = max(needed, 1_048_576)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if hard >= needed:
        return settings, ""
    allowed = hard - SPARE_DESCRIPTORS
    if allowed < 1:
        raise StartError(f"the limit on open files is {hard}; at least {SPARE_DESCRIPTORS + 1} are"
                         " needed: raise it with ulimit -n")
    warning = (
        f"the limit on open files is {hard}, max-clients {settings.max_clients} needs {needed}"
    )
    return replace(settings, max_clients=allowed), warning
