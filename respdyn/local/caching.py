"""CLIENT TRACKING, CACHING, TRACKINGINFO and GETREDIR: how a client says that it caches.

Source: Redis `networking.c` (clientCommand), `tracking.c` (checkPrefixCollisionsOrReply).
"""

from __future__ import annotations

from respdyn.commands.arguments import parse_integer, quoted, syntax_error, word
from respdyn.commands.declare import Argv
from respdyn.errors import ReplyError
from respdyn.local.context import LocalContext
from respdyn.resp.replies import OK, bulks, integer, map_, set_, text
from respdyn.sessions.session import Session, Tracking

_NOT_TRACKING = (
    "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or "
    "OPTOUT mode enabled"
)
_REENABLE = (
    " before disabling tracking for this client, and then re-enabling it with a different mode."
)


def tracking(context: LocalContext, session: Session, argv: Argv) -> bytes:
    wanted = _parse(context, argv)
    trackers = context.notifications.trackers
    switch = word(argv[2])
    if switch == b"OFF":
        trackers.disable(session)
        return OK
    if switch != b"ON":
        raise syntax_error()
    _check(wanted, session.tracking)
    if wanted.is_bcast:
        before = session.tracking.prefixes if session.tracking is not None else []
        wanted.prefixes = list(dict.fromkeys([*before, *(wanted.prefixes or [b""])]))
    trackers.enable(session, wanted)
    return OK


def _parse(context: LocalContext, argv: Argv) -> Tracking:
    wanted = Tracking()
    position = 3
    while position < len(argv):
        option = word(argv[position])
        has_more = position + 1 < len(argv)
        position += 1
        if option == b"REDIRECT" and has_more:
            if wanted.redirect:
                raise ReplyError("ERR A client can only redirect to a single other client")
            wanted.redirect = parse_integer(argv[position])
            if wanted.redirect not in context.sessions.by_id:
                raise ReplyError("ERR The client ID you want redirect to does not exist")
            position += 1
        elif option == b"PREFIX" and has_more:
            wanted.prefixes.append(argv[position])
            position += 1
        elif option == b"BCAST":
            wanted.is_bcast = True
        elif option == b"OPTIN":
            wanted.is_optin = True
        elif option == b"OPTOUT":
            wanted.is_optout = True
        elif option == b"NOLOOP":
            wanted.is_noloop = True
        else:
            raise syntax_error()
    return wanted


def _check(wanted: Tracking, now: Tracking | None) -> None:
    """Raises `ReplyError` for options that contradict each other, or what is on already."""
    if wanted.prefixes and not wanted.is_bcast:
        raise ReplyError("ERR PREFIX option requires BCAST mode to be enabled")
    if now is not None and now.is_bcast != wanted.is_bcast:
        raise ReplyError("ERR You can't switch BCAST mode on/off" + _REENABLE)
    if wanted.is_bcast and (wanted.is_optin or wanted.is_optout):
        raise ReplyError("ERR OPTIN and OPTOUT are not compatible with BCAST")
    if wanted.is_optin and wanted.is_optout:
        raise ReplyError("ERR You can't specify both OPTIN mode and OPTOUT mode")
    if now is not None and (
        (wanted.is_optin and now.is_optout) or (wanted.is_optout and now.is_optin)
    ):
        raise ReplyError("ERR You can't switch OPTIN/OPTOUT mode" + _REENABLE)
    for at, prefix in enumerate(wanted.prefixes):
        for other in now.prefixes if now is not None else []:
            _check_apart(prefix, other, "an existing prefix")
        for other in wanted.prefixes[at + 1 :]:
            _check_apart(prefix, other, "another provided prefix")


def _check_apart(one: bytes, two: bytes, kind: str) -> None:
    if one.startswith(two) or two.startswith(one):
        raise ReplyError(
            f"ERR Prefix '{quoted(one)}' overlaps with {kind} '{quoted(two)}'. Prefixes for a"
            " single client must not overlap."
        )


def caching(context: LocalContext, session: Session, argv: Argv) -> bytes:
    now = session.tracking
    if now is None:
        raise ReplyError(_NOT_TRACKING)
    switch = word(argv[2])
    if switch == b"YES":
        if not now.is_optin:
            raise ReplyError(
                "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."
            )
    elif switch == b"NO":
        if not now.is_optout:
            raise ReplyError(
                "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."
            )
    else:
        raise syntax_error()
    now.caching = True
    return OK


def getredir(context: LocalContext, session: Session, argv: Argv) -> bytes:
    return integer(-1 if session.tracking is None else session.tracking.redirect)


def trackinginfo(context: LocalContext, session: Session, argv: Argv) -> bytes:
    now = session.tracking
    flags = ["off"]
    prefixes: list[bytes] = []
    if now is not None:
        prefixes = now.prefixes
        redirected = (
            ("on", True), ("bcast", now.is_bcast), ("optin", now.is_optin),
            ("caching-yes", now.is_optin and now.caching), ("optout", now.is_optout),
            ("caching-no", now.is_optout and now.caching), ("noloop", now.is_noloop),
            ("broken_redirect", now.broken),
        )
        flags = [name for name, is_set in redirected if is_set]
    resp3 = session.resp == 3
    return map_([
        (text("flags"), set_([text(flag) for flag in flags], resp3)),
        (text("redirect"), integer(-1 if now is None else now.redirect)),
        (text("prefixes"), bulks(prefixes)),
    ], resp3)
