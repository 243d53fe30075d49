"""What to type next: shown once a local cluster is ready."""

import importlib.util
import shlex
import shutil
import sys
from collections.abc import Sequence

from respdyn.build import shown_build
from respdyn.config import Settings


def banner(nodes: Sequence[tuple[str, Settings, int, str]], program: Sequence[str]) -> str:
    """A page for (name, settings, process id, start command) of each node."""
    first, last = nodes[0][1], nodes[-1][1]
    me = shlex.join(program)
    copies = f"each key is kept on {first.n} of them" if len(nodes) > 1 else "one copy of each key"
    lines = ["", f"{len(nodes)} node{'s are' if len(nodes) > 1 else ' is'} ready; {copies}.",
             f"This is {shown_build()}.", ""]
    for name, settings, pid, _ in nodes:
        where = f"{settings.bind[0]}:{settings.client_port}"
        page = f"http://{settings.bind[0]}:{settings.http_port}/metrics"
        lines.append(f"  {name:8} {where:18} pid {pid:<8} "
                     + (page if settings.http_port else ""))
    lines += ["", "Write at one node, read at another:", ""]
    password = "" if not first.requirepass else "REDISCLI_AUTH=... "
    if shutil.which("redis-cli"):
        lines += [
            f"  {password}redis-cli -h {first.bind[0]} -p {first.client_port} set greeting hello",
            f"  {password}redis-cli -h {last.bind[0]} -p {last.client_port} get greeting",
        ]
    lines += [
        f"  {password}{me} cli --node {first.bind[0]}:{first.client_port} set greeting hello",
        f"  {password}{me} cli --node {last.bind[0]}:{last.client_port} get greeting",
        f"  {_python_line(last)}",
        f"  {password}{me} admin --node {first.bind[0]}:{first.client_port} status",
    ]
    if len(nodes) > 2:
        name, _, pid, command = nodes[1]
        lines += ["", f"End a node without warning (kill -9 {pid}), go on, and start {name} again:",
                  "", f"  {command}"]
    return "\n".join([*lines, "", "Ctrl-C stops all.", ""])


def _python_line(settings: Settings) -> str:
    host, port = settings.bind[0], settings.client_port
    python = shlex.quote(sys.executable)
    if importlib.util.find_spec("redis") is not None:
        code = f"import redis; print(redis.Redis('{host}', {port}).get('greeting'))"
    else:
        code = (f"import socket; s = socket.create_connection(('{host}', {port}));"
                " s.sendall(b'GET greeting\\r\\n'); print(s.recv(999))")
    return f'{python} -c "{code}"'
