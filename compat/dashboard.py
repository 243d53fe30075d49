"""The dashboard shows data: every query in it is asked of a Prometheus that scrapes real nodes.

Needs the `prometheus` program (Debian has it). Grafana itself is not needed: what a panel shows is
what Prometheus answers to its query.
"""

import json
import shutil
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

from compat.places import ROOT, CompatError
from respdyn.cli.bench_servers import Server, free_ports
from respdyn.cli.client import Client

DASHBOARD = ROOT / "docker" / "grafana" / "dashboards" / "respdyn.json"
_HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
_PATIENCE_S = 60.0
_TRAFFIC_S = 20.0


def expressions() -> list[tuple[str, str]]:
    """(panel's title, query) of everything that the dashboard asks."""
    page = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [
        (panel["title"], target["expr"])
        for panel in page["panels"] for target in panel["targets"]
    ]


def run() -> int:
    """0 if every query is answered with data."""
    program = shutil.which("prometheus")
    if program is None:
        raise CompatError("prometheus is not installed")
    (port,) = free_ports(["127.0.0.1"])
    http, prometheus = port + 2000, port + 2001
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: respdyn\n"
            f"  static_configs: [{{targets: {json.dumps([f'{h}:{http}' for h in _HOSTS])}}}]\n",
            encoding="ascii",
        )
        started: list[Server] = []
        try:
            started.append(Server(
                [sys.executable, "-m", "respdyn.cli.main", "cluster", "--nodes=3",
                 f"--port={port}", f"--http-port={http}", f"--data-dir={place / 'data'}"],
                _HOSTS[0], port, place / "nodes.log",
            ))
            started[0].until("stored a key", started[0].stores)
            started.append(Server(
                [program, f"--config.file={place / 'prometheus.yml'}",
                 f"--storage.tsdb.path={place / 'tsdb'}",
                 f"--web.listen-address=127.0.0.1:{prometheus}"],
                _HOSTS[0], prometheus, place / "prometheus.log",
            ))
            _traffic(port, _TRAFFIC_S)
            wrong = check(f"http://127.0.0.1:{prometheus}")
        finally:
            for server in reversed(started):
                server.stop()
    for line in wrong:
        print(f"  {line}")
    print(f"{len(expressions())} queries, {len(wrong)} without data")
    return int(bool(wrong))


def check(url: str) -> list[str]:
    """The queries that this Prometheus has no data for."""
    wrong = []
    for title, query in expressions():
        found = _ask(url, query)
        if not found:
            wrong.append(f"{title}: no data for {query}")
        elif any(one["value"][1] == "NaN" for one in found):
            wrong.append(f"{title}: no number for {query}")
    return wrong


def _ask(url: str, query: str) -> list[dict]:
    address = f"{url}/api/v1/query?" + urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(address, timeout=_PATIENCE_S) as answer:
        return json.load(answer)["data"]["result"]


def _traffic(port: int, seconds: float) -> None:
    """Reads, writes and mistakes at all nodes, a few hundred a second."""
    clients = [Client(f"{host}:{port}") for host in _HOSTS]
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        number += 1
        client = clients[number % len(clients)]
        client.call("SET", f"key:{number % 100}", str(number))
        client.call("GET", f"key:{number % 50}")
        client.call("INCR", "counter")
        if number % 20 == 0:
            client.call("NOPE")
        time.sleep(0.005)
    for client in clients:
        client.close()
