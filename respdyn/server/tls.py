"""TLS: what this node shows of itself, whom it believes, and how both change while it runs.

There are three kinds of *side*: clients' listeners, which ask for a certificate as
`tls-auth-clients` says; links between nodes, where both ends must have one of the same CA; the HTTP
port, which demands none. A side is an `ssl.SSLContext`, made anew when a setting changes or SIGHUP
comes; connections that stand keep theirs. New files that do not fit together change nothing.

As in Redis, names in certificates are not compared with addresses: the CA is the cluster's own.

Source: Redis `tls.c`; Python's `ssl`.
"""

import ssl
from collections.abc import Callable
from typing import Final

from respdyn.config import Settings
from respdyn.host import HostError
from respdyn.ports import Trace

# Settings whose change makes new sides.
NAMES: Final = (
    "tls_cert_file", "tls_key_file", "tls_key_file_pass", "tls_ca_cert_file", "tls_ca_cert_dir",
    "tls_auth_clients", "tls_protocols", "tls_ciphers",
)
LOGGED_MAX: Final = 1000      # listeners and reasons of failed handshakes that were logged

Side = tuple[str, bool]     # "clients", "nodes" or "http"; whether we are the one who connects


class Tls:
    """The sides of one node. Empty where nothing speaks TLS."""

    def __init__(self, settings: Settings, trace: Trace) -> None:
        """Raises `HostError` when the files cannot be used."""
        self._settings = settings
        self._trace = trace
        self._logged: dict[tuple[str, str], int] = {}
        self.failures = 0               # handshakes that failed
        self._sides = self._make(settings)

    def listener(self, name: str) -> ssl.SSLContext | None:
        """What the listener of this setting speaks; None: plain."""
        return self._sides.get((_KINDS.get(name, ""), False))

    @property
    def dialer(self) -> ssl.SSLContext | None:
        """What is spoken on connections to peers; None: plain."""
        return self._sides.get(("nodes", True))

    def change(self, settings: Settings) -> bool:
        """Make the sides anew. False if nothing speaks TLS. Raises `HostError`; all stays then."""
        self._sides = self._make(settings)
        self._settings = settings
        return bool(self._sides)

    def _make(self, settings: Settings) -> dict[Side, ssl.SSLContext]:
        wanted: list[tuple[Side, ssl.VerifyMode]] = []
        if settings.tls_port or settings.tls_cluster_port:
            wanted.append((("clients", False), _VERIFY[settings.tls_auth_clients]))
        if settings.tls_replication:
            wanted += [(("nodes", is_ours), ssl.CERT_REQUIRED) for is_ours in (False, True)]
        if settings.tls_http:
            wanted.append((("http", False), ssl.CERT_NONE))
        return {side: self._side(settings, side, verify) for side, verify in wanted}

    def _side(self, settings: Settings, side: Side, verify: ssl.VerifyMode) -> ssl.SSLContext:
        kind, is_ours = side
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if is_ours else ssl.PROTOCOL_TLS_SERVER)
        context.check_hostname = False
        context.verify_mode = verify
        versions = settings.tls_protocols.split()
        new, old = ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2
        context.minimum_version = old if "TLSv1.2" in versions else new
        context.maximum_version = new if "TLSv1.3" in versions else old
        try:
            if settings.tls_ciphers:
                context.set_ciphers(settings.tls_ciphers)
            context.load_cert_chain(
                settings.tls_cert_file, settings.tls_key_file, settings.tls_key_file_pass
            )
            ca_file, ca_directory = settings.tls_ca_cert_file, settings.tls_ca_cert_dir
            if verify is not ssl.CERT_NONE and (ca_file or ca_directory):
                context.load_verify_locations(ca_file or None, ca_directory or None)
        except (OSError, ValueError) as wrong:      # an SSLError is an OSError
            files = f"{settings.tls_cert_file}, {settings.tls_key_file}"
            if settings.tls_ca_cert_file:
                files += f", {settings.tls_ca_cert_file}"
            raise HostError(f"{reason_of(wrong)} (of {files})") from None
        if not is_ours:
            context.sslobject_class = _watched(lambda wrong: self.failed(kind, wrong))
        return context

    def failed(self, kind: str, wrong: ssl.SSLError) -> None:
        """A handshake has failed. Each reason is logged once; after that it is only counted."""
        self.failures += 1
        key = kind, reason_of(wrong)
        if key in self._logged:
            self._logged[key] += 1
        elif len(self._logged) < LOGGED_MAX:
            self._logged[key] = 1
            self._trace.event("tls_refused", listener=kind, reason=key[1])


_KINDS: Final = {
    "tls-port": "clients", "tls-cluster-port": "clients", "peer-port": "nodes", "http-port": "http",
}
_VERIFY: Final = {
    "yes": ssl.CERT_REQUIRED, "no": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL,
}


def reason_of(wrong: Exception) -> str:
    """What went wrong, without the numbers and names of OpenSSL's source."""
    if isinstance(wrong, ssl.SSLCertVerificationError):
        return f"the certificate is refused: {wrong.verify_message}"
    if isinstance(wrong, ssl.SSLError) and wrong.reason:
        return wrong.reason.replace("_", " ").lower()
    if isinstance(wrong, OSError) and wrong.strerror:
        return wrong.strerror
    return str(wrong)


def _watched(failed: Callable[[ssl.SSLError], None]) -> type[ssl.SSLObject]:
    """The class of a listener's connections: the loop is silent about handshakes that fail.

    It also hangs up at once, and the client would not learn why. So a failure first looks like a
    wait for more: then the alert is sent. What comes next, or the time-out, ends the connection.
    """

    class Watched(ssl.SSLObject):
        """As its base; it reports a failed handshake."""

        wrong: ssl.SSLError | None = None

        def do_handshake(self) -> None:
            """See `ssl.SSLObject.do_handshake`."""
            if self.wrong is not None:
                raise self.wrong
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as wrong:
                self.wrong = wrong
                failed(wrong)
                raise ssl.SSLWantReadError from wrong

    return Watched
