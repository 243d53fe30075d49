"""ACL, AUTH and the like: what they answer. Users and their rights are in `sessions/users`.

Source: Redis 7.0 `acl.c` (aclCommand).
"""

from __future__ import annotations

from typing import Final

from respdyn.commands import introspection
from respdyn.commands.arguments import (
    parse_integer,
    quoted,
    syntax_error,
    unknown_subcommand,
    word,
    wrong_arity,
)
from respdyn.commands.declare import CATEGORIES, Argv
from respdyn.commands.table import COMMANDS, find
from respdyn.errors import ReplyError
from respdyn.host import HostError
from respdyn.local.context import LocalContext
from respdyn.ports import random_bits
from respdyn.resp.replies import OK, array, bulk, bulks, double, integer, map_, null, set_, text
from respdyn.sessions.acl_print import printed
from respdyn.sessions.acl_rules import RuleError, Selector, User
from respdyn.sessions.session import Session
from respdyn.sessions.users import DEFAULT, Refusal
from respdyn.sessions.users_file import parse_file

_BITS_MAX: Final = 4096
_SHOWN: Final = 10              # entries of ACL LOG, unless more are requested
_WRONG_PASSWORD: Final = "WRONGPASS invalid username-password pair or user is disabled."
_NO_PASSWORD_SET: Final = (
    "ERR AUTH <password> called without any password configured for the default user. "
    "Are you sure your configuration is correct?"
)
_NO_FILE: Final = (
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users "
    "via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis "
    "configuration file set) in order to store users in the Redis configuration."
)
_NOT_SAVED: Final = (
    "ERR There was an error trying to save the ACLs. Please check the server logs for more "
    "information"
)


# ---- who is there ----


def auth(context: LocalContext, session: Session, argv: Argv) -> bytes:
    if len(argv) > 3:
        raise syntax_error()
    if len(argv) == 2 and context.users.default.nopass:
        raise ReplyError(_NO_PASSWORD_SET)
    log_in(context, session, argv[1] if len(argv) == 3 else DEFAULT, argv[-1], b"AUTH")
    return OK


def log_in(
    context: LocalContext, session: Session, name: bytes, password: bytes, command: bytes
) -> None:
    """Make this the session's user. Raises `ReplyError`."""
    if not context.users.log_in(session, name, password, command):
        raise ReplyError(_WRONG_PASSWORD)


def whoami(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return bulk(session.user)


# ---- users ----


def setuser(context: LocalContext, session: Session, argv: Argv) -> bytes:
    context.users.set_user(argv[2], argv[3:])
    return OK


def deluser(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return integer(context.users.delete(argv[2:]))


def users(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return bulks(context.users.names())


def list_(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return bulks([b" ".join((b"user", one.name, *one.shown())) for one in _users(context)])


def _users(context: LocalContext) -> list[User]:
    found = [context.users.get(name) for name in context.users.names()]
    return [user for user in found if user is not None]


def getuser(context: LocalContext, session: Session, argv: Argv) -> bytes:
    resp3 = session.resp == 3
    user = context.users.get(argv[2])
    if user is None:
        return null(resp3)
    root, *others = user.selectors
    pairs = [
        (text("flags"), set_([bulk(flag) for flag in user.flags()], resp3)),
        (text("passwords"), bulks(list(user.passwords))),
        *_selector(root),
        (text("selectors"), array([map_(_selector(one), resp3) for one in others])),
    ]
    return map_(pairs, resp3)


def _selector(selector: Selector) -> list[tuple[bytes, bytes]]:
    return [
        (text("commands"), bulk(b" ".join(printed(selector.rules)))),
        (text("keys"), bulk(b" ".join(selector.key_words()))),
        (text("channels"), bulk(b" ".join(selector.channel_words()))),
    ]


def dryrun(context: LocalContext, session: Session, argv: Argv) -> bytes:
    user = context.users.get(argv[2])
    if user is None:
        raise ReplyError(f"ERR User '{quoted(argv[2])}' not found")
    command = find(argv[3:])
    if command is None:
        raise ReplyError(f"ERR Command '{quoted(argv[3])}' not found")
    if not command.least <= len(argv) - 3 <= command.most:
        raise wrong_arity(command.name)
    denied = user.judge(command, argv[3:])
    if denied is None:
        return OK
    if denied.kind == "command":
        return text(f"This user has no permissions to run the '{command.name}' command")
    what = argv[denied.at + 3].split(b"\0")[0]
    return bulk(b"This user has no permissions to access the '%b' %b" % (
        what, denied.kind.encode()
    ))


def cat(context: LocalContext, session: Session, argv: Argv) -> bytes:
    if len(argv) > 3:
        raise unknown_subcommand(argv)
    if len(argv) == 2:
        return array([text(category) for category in CATEGORIES])
    category = word(argv[2]).decode("latin-1").lower()
    if category not in CATEGORIES:
        raise ReplyError(f"ERR Unknown category '{quoted(argv[2], 128)}'")
    return array([
        text(one.name) for command in COMMANDS for one in (command, *command.subcommands)
        if category in one.categories
    ])


def genpass(context: LocalContext, session: Session, argv: Argv) -> bytes:
    if len(argv) > 3:
        raise unknown_subcommand(argv)
    bits = parse_integer(argv[2]) if len(argv) == 3 else 256
    if not 0 < bits <= _BITS_MAX:
        raise ReplyError(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a "
            f"positive number up to {_BITS_MAX}"
        )
    digits = (bits + 3) // 4
    return text(f"{random_bits(context.node.random, 4 * digits):0{digits}x}")


def help_(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return introspection.help_text(context.container("acl"))


# ---- what was refused ----


def log(context: LocalContext, session: Session, argv: Argv) -> bytes:
    if len(argv) > 3:
        raise unknown_subcommand(argv)
    entries = context.users.log
    count = _SHOWN
    if len(argv) == 3:
        if word(argv[2]) == b"RESET":
            entries.clear()
            return OK
        count = max(0, parse_integer(argv[2]))
    resp3 = session.resp == 3
    shown = [entries[at] for at in range(min(count, len(entries)))]
    return array([_refusal(one, context.now_ms, resp3) for one in shown])


def _refusal(one: Refusal, now_ms: int, resp3: bool) -> bytes:
    return map_([
        (text("count"), integer(one.count)),
        (text("reason"), text(one.reason)),
        (text("context"), text(one.context)),
        (text("object"), bulk(one.object)),
        (text("username"), bulk(one.user)),
        (text("age-seconds"), double((now_ms - one.when_ms) / 1000, resp3)),
        (text("client-info"), bulk(one.client)),
    ], resp3)


# ---- the file ----


def save(context: LocalContext, session: Session, argv: Argv) -> bytes:
    name = _file(context)
    try:
        content = b"".join(
            b" ".join((b"user", one.name, *one.words())) + b"\n" for one in _users(context)
        )
        context.host.write_text(name, content.decode("utf-8", "surrogateescape"))
    except HostError as wrong:
        context.node.trace.event("aclfile_not_saved", file=name, reason=str(wrong))
        raise ReplyError(_NOT_SAVED) from None
    return OK


def load(context: LocalContext, session: Session, argv: Argv) -> bytes:
    name = _file(context)
    try:
        found = parse_file(name, context.host.read_text(name))
    except HostError as wrong:
        raise ReplyError(f"ERR Error loading ACLs, opening file '{name}': {wrong}") from None
    except RuleError as wrong:
        raise ReplyError(f"ERR {wrong}") from None
    if not any(user.name == DEFAULT for user in found):
        found.append(User(DEFAULT).changed([b"on", b"nopass", b"~*", b"&*", b"+@all"]))
    context.users.replace_all(found)
    return OK


def _file(context: LocalContext) -> str:
    name = context.settings.aclfile
    if not name:
        raise ReplyError(_NO_FILE)
    return name
