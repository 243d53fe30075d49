"""Commands that this node answers at once, from the connection's session or its own state.

Each is a plain function `(context, session, argv) -> reply`; None means no reply at all.
`FUNCTIONS` lists them all, and must name every command declared LOCAL.
"""

from collections.abc import Callable
from typing import Final

from respdyn.commands.declare import LOCAL, Argv, Command
from respdyn.commands.table import COMMANDS
from respdyn.local import (
    acl,
    caching,
    channels,
    clients,
    cluster,
    connection,
    debugging,
    memory,
    operating,
    scripting,
    server,
    slowness,
    transactions,
    wait,
)
from respdyn.local.context import LocalContext
from respdyn.sessions.session import Session

Local = Callable[[LocalContext, Session, Argv], bytes | None]


def run(context: LocalContext, session: Session, command: Command, argv: Argv) -> bytes | None:
    """Answer a LOCAL command. None: it has no reply. Raises `ReplyError`."""
    return FUNCTIONS[command.name](context, session, argv)


FUNCTIONS: Final[dict[str, Local]] = {
    "ping": connection.ping,
    "pfselftest": debugging.pfselftest,
    "echo": connection.echo,
    "quit": connection.quit_,
    "reset": connection.reset,
    "select": connection.select,
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
    "hello": connection.hello,
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
    "command": server.command,
    "command|count": server.command_count,
    "command|docs": server.command_docs,
    "command|getkeys": server.command_getkeys,
    "command|getkeysandflags": server.command_getkeysandflags,
    "command|help": server.command_help,
    "command|info": server.command_info,
    "command|list": server.command_list,
    "config|get": server.config_get,
    "config|help": server.config_help,
    "config|resetstat": server.config_resetstat,
    "config|rewrite": operating.config_rewrite,
    "config|set": server.config_set,
    "info": server.info_,
    "time": server.time,
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
    "debug": debugging.debug,
    "memory|doctor": memory.doctor,
    "memory|help": memory.help_,
    "memory|malloc-stats": memory.malloc_stats,
    "memory|purge": memory.purge,
    "memory|stats": memory.stats,
    "function|delete": scripting.function_delete,
    "function|dump": scripting.function_dump,
    "function|flush": scripting.function_flush,
    "function|help": scripting.function_help,
    "function|list": scripting.function_list,
    "function|load": scripting.function_load,
    "function|restore": scripting.function_restore,
    "script|debug": scripting.script_debug,
    "script|flush": scripting.script_flush,
    "script|help": scripting.script_help,
    "script|load": scripting.script_load,
    "object|help": server.object_help,
    "xgroup|help": server.xgroup_help,
    "xinfo|help": server.xinfo_help,
    "wait": wait.wait,
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
    "cluster|help": server.cluster_help,
    "cluster|info": cluster.info,
    "cluster|keyslot": cluster.key_slot,
    "cluster|links": cluster.links,
    "cluster|myid": cluster.my_id,
    "cluster|myshardid": cluster.my_id,
    "cluster|nodes": cluster.nodes,
    "cluster|shards": cluster.shards,
    "cluster|slots": cluster.slots,
    "dyn.cluster|help": server.dyn_cluster_help,
    "dyn.consistency": connection.consistency,
}


def _declared() -> set[str]:
    """The names of all commands that are answered here: LOCAL, and not only a container."""
    everything = [one for command in COMMANDS for one in (command, *command.subcommands)]
    return {
        one.name for one in everything
        if one.route == LOCAL and (not one.subcommands or one.arity == -1)
    }


assert _declared() == set(FUNCTIONS), _declared() ^ set(FUNCTIONS)
