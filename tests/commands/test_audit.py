"""What operators do stands in the log: who, from where, what about; never a value or a password."""

from tests.little import Little


class Lines:
    """A trace that keeps whole events."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def event(self, name: str, **fields: object) -> None:
        self.lines.append(" ".join([name, *(f"{key}={value}" for key, value in fields.items())]))


def test_who_did_what_is_logged_without_what_is_secret() -> None:
    little = Little(1).ready()
    node, lines = little["A"], Lines()
    node.sessions.users.audit._trace = lines       # type: ignore[assignment]
    client = little.client("A")
    for words in (
        ("ACL", "SETUSER", "alice", "on", ">hidden", "~*", "+@all"), ("SET", "k", "hidden"),
        ("CONFIG", "SET", "requirepass", "hidden", "maxmemory", "0"), ("AUTH", "alice", "hidden"),
        ("AUTH", "alice", "hidden"), ("CONFIG", "GET", "*"), ("FLUSHALL",),
        ("DYN.CLUSTER", "LEAVE", "10.0.0.7:1"), ("ACL", "DELUSER", "alice", "bob"),
    ):
        client(*words)
    logged = "\n".join(lines.lines)
    assert "hidden" not in logged
    assert [line.split(" address=10.9.9.9")[0] for line in lines.lines if "audit" in line] == [
        "audit user=default", "audit user=default", "audit user=alice", "audit user=alice",
        "audit user=alice",
    ]
    assert "command=acl|setuser about=alice" in logged
    assert "command=config|set about=requirepass maxmemory" in logged
    assert "command=flushall" in logged and "command=dyn.cluster|leave about=10.0.0.7:1" in logged
    assert logged.count("logged_in user=alice address=10.9.9.9") == 1
    assert "user_changed user=alice" in logged and "deleted=yes" in logged


def test_what_a_client_may_not_run_is_no_audit_but_in_acl_log() -> None:
    little = Little(1).ready()
    node, lines = little["A"], Lines()
    client = little.client("A")
    client("ACL", "SETUSER", "poor", "on", "nopass", "+get", "~*")
    node.sessions.users.audit._trace = lines       # type: ignore[assignment]
    client("AUTH", "poor", "x")
    assert str(client("FLUSHALL")).startswith("NOPERM")
    assert not any("audit" in line for line in lines.lines)
