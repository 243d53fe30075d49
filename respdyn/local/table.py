"""Commands that this node answers at once, from the connection's session or its own state.

PING, HELLO, AUTH, SELECT, CONFIG and their kin are here; CLIENT is in `clients`, CLUSTER in
`cluster_port`, COMMAND in `introspection`, INFO in `info`. Each is a plain function `(context,
session, argv) -> reply`; None means no reply at all. `FUNCTIONS` lists them all, and must name
every command declared LOCAL.

Source: Redis `networking.c` (helloCommand, resetCommand), `acl.c` (authCommand), `config.c`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from respdyn.cluster.terms import Terms
from respdyn.commands import introspection
from respdyn.commands.arguments import (
    integer_of,
    parse_int32,
    quoted,
    syntax_error,
    word,
    wrong_arity,
)
from respdyn.commands.declare import LOCAL, Argv, Command
from respdyn.commands.scan import glob_match
from respdyn.commands.table import BY_NAME, COMMANDS
from respdyn.config import Settings
from respdyn.config_values import ConfigError
from respdyn.config_view import change, redis_view
from respdyn.coordination.consistency import parse_terms
from respdyn.errors import ReplyError
from respdyn.host import Host, HostError
from respdyn.local import (
    acl,
    caching,
    channels,
    clients,
    cluster,
    info,
    operating,
    scripting,
    slowness,
    storing,
    transactions,
)
from respdyn.resp.replies import EMPTY_ARRAY, OK, PONG, bulk, bulks, integer, map_, text
from respdyn.sessions.command_stats import Journal
from respdyn.sessions.session import Session
from respdyn.sessions.transactions import forget
from respdyn.sessions.users import Users

if TYPE_CHECKING:
    from respdyn.node import Node

Local = Callable[["LocalContext", Session, Argv], bytes | None]

DATABASES: Final = 16

_HELLO_NEEDS_AUTH: Final = (
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH "
    "<user> <pass> option can be used to authenticate the client and select the RESP protocol "
    "version at the same time"
)


class LocalContext:
    """What these commands need of the node, and nothing else."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.started_ms = node.wall_ms
        self.first_settings = node.settings     # before CONFIG SET
        self.backups = operating.Backups()
        self.loaded = 0                         # records that the store held at the start
        # What only the driver knows, by field of INFO: used_memory, process_id, used_cpu_sys ...
        self.outside: Callable[[], Mapping[str, str]] = dict

    @property
    def now_ms(self) -> int:
        return self.node.wall_ms

    @property
    def settings(self) -> Settings:
        return self.node.settings

    @property
    def sessions(self) -> dict[int, Session]:
        return self.node.front.sessions

    @property
    def terms(self) -> Terms:
        """The terms of a connection that has not asked for others."""
        return self.node.this.default_terms

    @property
    def users(self) -> Users:
        return self.node.front.users

    @property
    def journal(self) -> Journal:
        return self.node.front.journal

    @property
    def host(self) -> Host:
        return self.node.host

    @property
    def n(self) -> int:
        return self.node.front.n

    def container(self, name: str) -> Command:
        return BY_NAME[name.encode()]

    def config_get(self, patterns: Argv) -> dict[str, str]:
        """Settings whose names match. A name without wildcards is told as it was asked for."""
        view = redis_view(self.settings)
        found: dict[str, str] = {}
        for pattern in patterns:
            asked = pattern.decode("latin-1")
            if not any(mark in asked for mark in "[*?"):
                if asked.lower() in view:
                    found.setdefault(asked, view[asked.lower()])
                continue
            lowered = pattern.lower()
            for name, value in view.items():
                if glob_match(lowered, name.encode()):
                    found.setdefault(name, value)
        return found

    def config_set(self, pairs: list[tuple[str, str]]) -> None:
        """Change all of these settings, or by a `ReplyError` none."""
        names = [name.lower() for name, _ in pairs]
        try:
            settings = change(self.settings, pairs)
            self.host.apply(settings)
        except ConfigError as wrong:
            raise ReplyError(str(wrong)) from None
        except HostError as wrong:
            raise ReplyError(
                f"ERR CONFIG SET failed (possibly related to argument '{names[-1]}') - {wrong}"
            ) from None
        self.node.this.settings = settings
        self.terms.timeout_ms = settings.request_timeout_ms
        self.node.settings_changed()
        if "requirepass" in names:
            self.users.set_default_password(settings.requirepass)

    def reset_statistics(self) -> None:
        """CONFIG RESETSTAT."""
        front = self.node.front
        counters = self.node.counters
        self.backups.forget(counters.writes_coordinated + counters.records_received)
        counters.reset()
        self.node.latencies.reset()
        front.calls.clear()
        front.journal.reset()
        front.errors.clear()
        front.connections = 0

    def kill(self, session: Session) -> None:
        """Close another client's connection at once, without the replies that it waits for."""
        session.cut()
        self.leave(session)

    def leave(self, session: Session) -> None:
        """Nobody sees this client any more; its connection is closed when its reply is written."""
        self.node.close_session(session)


def run(context: LocalContext, session: Session, command: Command, argv: Argv) -> bytes | None:
    """Answer a LOCAL command. None: it has no reply. Raises `ReplyError`."""
    return FUNCTIONS[command.name](context, session, argv)


# ---- the connection ----


def ping(context: LocalContext, session: Session, argv: Argv) -> bytes:
    if len(argv) > 2:
        raise wrong_arity("ping")
    if session.subscriptions is not None and session.resp == 2:
        return bulks([b"pong", argv[1] if len(argv) == 2 else b""])
    return bulk(argv[1]) if len(argv) == 2 else PONG


def echo(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return bulk(argv[1])


def quit_(context: LocalContext, session: Session, argv: Argv) -> bytes:
    context.leave(session)
    return OK


def reset(context: LocalContext, session: Session, argv: Argv) -> bytes:
    context.node.telling.forget(session)
    context.node.front.monitors.forget(session)
    session.db = 0
    session.resp = 2
    session.name = b""
    context.users.welcome(session)
    session.reply_mode = "on"
    session.no_evict = session.no_touch = False
    session.moving = b""
    session.terms = context.terms
    forget(session)
    return b"+RESET\r\n"


def select(context: LocalContext, session: Session, argv: Argv) -> bytes:
    index = parse_int32(argv[1])
    if index and session.listener == "cluster":
        raise ReplyError("ERR SELECT is not allowed in cluster mode")
    if not 0 <= index < DATABASES:
        raise ReplyError("ERR DB index is out of range")
    session.db = index
    return OK


def hello(context: LocalContext, session: Session, argv: Argv) -> bytes:
    version = 0
    if len(argv) > 1:
        asked = integer_of(argv[1])
        if asked is None:
            raise ReplyError("ERR Protocol version is not an integer or out of range")
        if asked not in (2, 3):
            raise ReplyError("NOPROTO unsupported protocol version")
        version = asked
    position = 2
    while position < len(argv):
        option = word(argv[position])
        more = len(argv) - 1 - position
        if option == b"AUTH" and more >= 2:
            acl.log_in(
                context, session, argv[position + 1], argv[position + 2], b"HELLO"
            )
            position += 3
        elif option == b"SETNAME" and more:
            session.name = clients.checked_name(argv[position + 1])
            position += 2
        else:
            raise ReplyError(f"ERR Syntax error in HELLO option '{quoted(argv[position])}'")
    if not session.authenticated:
        raise ReplyError(_HELLO_NEEDS_AUTH)
    session.resp = version or session.resp
    return map_(
        [
            (text("server"), text("redis")),
            (text("version"), text(info.REDIS_VERSION)),
            (text("proto"), integer(session.resp)),
            (text("id"), integer(session.id)),
            (text("mode"), text("cluster" if session.listener == "cluster" else "standalone")),
            (text("role"), text("master")),
            (text("modules"), EMPTY_ARRAY),
        ],
        session.resp == 3,
    )


def consistency(context: LocalContext, session: Session, argv: Argv) -> bytes:
    terms, rest = parse_terms(argv[1:], session.terms, context.n)
    if rest:
        raise ReplyError(
            f"ERR DYN.CONSISTENCY knows R, W, SLOPPY and TIMEOUT, not '{quoted(rest[0], 64)}'"
        )
    if len(argv) > 1:
        session.terms = terms
        return OK
    return map_(
        [
            (text("n"), integer(context.n)),
            (text("r"), integer(terms.r)),
            (text("w"), integer(terms.w)),
            (text("sloppy"), text("yes" if terms.sloppy else "no")),
            (text("timeout"), integer(terms.timeout_ms)),
        ],
        session.resp == 3,
    )


def dyn_cluster_help(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.help_text(context.container("dyn.cluster"))


# ---- the server ----


def time(context: LocalContext, session: Session, argv: Argv) -> bytes:
    seconds, rest_ms = divmod(context.now_ms, 1000)
    return bulks([b"%d" % seconds, b"%d" % (rest_ms * 1000)])


def info_(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return info.reply(context, argv[1:], session.resp == 3, session.listener)


def config_get(context: LocalContext, session: Session, argv: Argv) -> bytes:
    found = context.config_get(argv[2:])
    pairs = [(_config_text(name), _config_text(value)) for name, value in found.items()]
    return map_(pairs, session.resp == 3)


def _config_text(value: str) -> bytes:
    return bulk(value.encode("utf-8", "surrogateescape"))


def config_set(context: LocalContext, session: Session, argv: Argv) -> bytes:
    if len(argv) % 2:
        raise syntax_error()
    words = [argument.decode("utf-8", "surrogateescape") for argument in argv[2:]]
    context.config_set(list(zip(words[::2], words[1::2], strict=True)))
    return OK


def config_resetstat(context: LocalContext, session: Session, argv: Argv) -> bytes:
    context.reset_statistics()
    return OK


def config_help(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.help_text(context.container("config"))


def command(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.info([], session.resp == 3)


def command_count(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.count()


def command_docs(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.docs(argv[2:], session.resp == 3)


def command_getkeys(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.keys(argv[2:])


def command_getkeysandflags(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.keys_and_flags(argv[2:], session.resp == 3)


def command_help(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.help_text(context.container("command"))


def command_info(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.info(argv[2:], session.resp == 3)


def command_list(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.names(argv[2:])


def cluster_help(context: LocalContext, session: Session, argv: Argv) -> bytes:
    cluster.require(session)
    return introspection.help_text(context.container("cluster"))


FUNCTIONS: Final[dict[str, Local]] = {
    "ping": ping,
    "echo": echo,
    "quit": quit_,
    "reset": reset,
    "select": select,
    "acl|cat": acl.cat,
    "acl|deluser": acl.deluser,
    "acl|dryrun": acl.dryrun,
    "acl|genpass": acl.genpass,
    "acl|getuser": acl.getuser,
    "acl|help": acl.help_,
    "acl|list": acl.list_,
    "acl|load": acl.load,
    "acl|log": acl.log,
    "acl|save": acl.save,
    "acl|setuser": acl.setuser,
    "acl|users": acl.users,
    "acl|whoami": acl.whoami,
    "auth": acl.auth,
    "hello": hello,
    "client|getname": clients.getname,
    "client|help": clients.help_,
    "client|id": clients.id_,
    "client|info": clients.info,
    "client|caching": caching.caching,
    "client|getredir": caching.getredir,
    "client|tracking": caching.tracking,
    "client|trackinginfo": caching.trackinginfo,
    "client|kill": clients.kill,
    "client|maint_notifications": clients.maint_notifications,
    "client|list": clients.list_,
    "client|no-evict": clients.no_evict,
    "client|no-touch": clients.no_touch,
    "client|pause": clients.pause,
    "client|reply": clients.reply,
    "client|setinfo": clients.setinfo,
    "client|setname": clients.setname,
    "client|unblock": clients.unblock,
    "client|unpause": clients.unpause,
    "bgrewriteaof": operating.bgrewriteaof,
    "bgsave": operating.bgsave,
    "failover": operating.failover,
    "lastsave": operating.lastsave,
    "latency|doctor": slowness.latency_doctor,
    "latency|graph": slowness.latency_graph,
    "latency|help": slowness.latency_help,
    "latency|histogram": slowness.latency_histogram,
    "latency|history": slowness.latency_history,
    "latency|latest": slowness.latency_latest,
    "latency|reset": slowness.latency_reset,
    "lolwut": operating.lolwut,
    "module|help": operating.module_help,
    "module|list": operating.module_list,
    "psync": operating.replication,
    "replconf": operating.replication,
    "replicaof": operating.replicaof,
    "role": operating.role,
    "save": operating.save,
    "shutdown": operating.shutdown,
    "slaveof": operating.replicaof,
    "slowlog|get": slowness.slowlog_get,
    "slowlog|help": slowness.slowlog_help,
    "slowlog|len": slowness.slowlog_len,
    "slowlog|reset": slowness.slowlog_reset,
    "sync": operating.replication,
    "command": command,
    "command|count": command_count,
    "command|docs": command_docs,
    "command|getkeys": command_getkeys,
    "command|getkeysandflags": command_getkeysandflags,
    "command|help": command_help,
    "command|info": command_info,
    "command|list": command_list,
    "config|get": config_get,
    "config|help": config_help,
    "config|resetstat": config_resetstat,
    "config|rewrite": operating.config_rewrite,
    "config|set": config_set,
    "info": info_,
    "time": time,
    "monitor": clients.monitor,
    "publish": channels.publish,
    "spublish": channels.spublish,
    "subscribe": channels.subscribe,
    "unsubscribe": channels.unsubscribe,
    "psubscribe": channels.psubscribe,
    "punsubscribe": channels.punsubscribe,
    "ssubscribe": channels.ssubscribe,
    "sunsubscribe": channels.sunsubscribe,
    "pubsub|help": channels.help_,
    "debug": storing.debug,
    "memory|doctor": storing.memory_doctor,
    "memory|help": storing.memory_help,
    "memory|malloc-stats": storing.memory_malloc_stats,
    "memory|purge": storing.memory_purge,
    "memory|stats": storing.memory_stats,
    "function|delete": scripting.function_delete,
    "function|dump": scripting.function_dump,
    "function|flush": scripting.function_flush,
    "function|help": scripting.function_help,
    "function|kill": scripting.kill,
    "function|list": scripting.function_list,
    "function|stats": scripting.function_stats,
    "script|exists": scripting.script_exists,
    "script|flush": scripting.script_flush,
    "script|help": scripting.script_help,
    "script|kill": scripting.kill,
    "object|help": storing.object_help,
    "wait": storing.wait,
    "multi": transactions.multi,
    "exec": transactions.exec_,
    "discard": transactions.discard,
    "watch": transactions.watch,
    "unwatch": transactions.unwatch,
    "asking": cluster.accept,
    "readonly": cluster.accept,
    "readwrite": cluster.accept,
    "cluster|count-failure-reports": cluster.count_failure_reports,
    "cluster|countkeysinslot": cluster.count_keys,
    "cluster|getkeysinslot": cluster.get_keys,
    "cluster|help": cluster_help,
    "cluster|info": cluster.info,
    "cluster|keyslot": cluster.key_slot,
    "cluster|links": cluster.links,
    "cluster|myid": cluster.my_id,
    "cluster|myshardid": cluster.my_id,
    "cluster|nodes": cluster.nodes,
    "cluster|shards": cluster.shards,
    "cluster|slots": cluster.slots,
    "dyn.cluster|help": dyn_cluster_help,
    "dyn.consistency": consistency,
}


def _declared() -> set[str]:
    """The names of all commands that are answered here: LOCAL, and not only a container."""
    everything = [one for command in COMMANDS for one in (command, *command.subcommands)]
    return {
        one.name for one in everything
        if one.route == LOCAL and (not one.subcommands or one.arity == -1)
    }


assert _declared() == set(FUNCTIONS), _declared() ^ set(FUNCTIONS)
