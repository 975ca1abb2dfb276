"""Where to serve, and who may look."""

from __future__ import annotations

import errno
import hashlib
import hmac
import ipaddress
import socket
from dataclasses import dataclass

from ..errors import ConfigError, SinkError

TOKEN_VARIABLE = "SEGRT_SERVE_TOKEN"
FEWEST_TOKEN_CHARACTERS = 12
_BACKLOG = 16
_SEND_BUFFER = 256 * 1024  # bytes per connection: a few pictures, not the megabytes that the system would grow it to
_UNREAD_MS = 15_000  # a viewer that takes nothing for so long is let go by the system


@dataclass(frozen=True)
class Address:
    """A host and a port; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """The address that `[HOST:]PORT` names; without a host this machine alone.

    Raises:
        ConfigError: the port is no number of 0..65535, or there is a colon without a host.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ConfigError(f"expected [HOST:]PORT, found {text!r}; an IPv6 address goes in brackets: [::1]:8080")
    if not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise ConfigError(f"expected [HOST:]PORT with a port of 0..65535, found {text!r}")
    if colon and not host:
        raise ConfigError(f"expected a host before the colon, found {text!r}; 0.0.0.0 is every network of this machine")
    return Address(host or "127.0.0.1", int(port))


def check_token(token: str | None) -> str | None:
    """A token as it is, if it can keep anybody out.

    Raises:
        ConfigError: it is short, or has characters that an address line cannot carry.
    """
    if token is None:
        return None
    if len(token) < FEWEST_TOKEN_CHARACTERS or not all(c.isascii() and (c.isalnum() or c in "-_.~") for c in token):
        raise ConfigError(
            f"a token to serve with needs {FEWEST_TOKEN_CHARACTERS} characters or more of A-Z a-z 0-9 - _ . ~, found "
            f"{len(token)}; `openssl rand -hex 16` makes one"
        )
    return token


def is_loopback(host: str) -> bool:
    """Whether a numeric address can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def listen(address: Address, token: str | None) -> socket.socket:
    """A socket that listens there.

    Raises:
        SinkError: other machines could look without a token; or the port is taken, privileged, or not this machine's.
    """
    what = f"cannot serve on {address}"
    try:
        infos = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise SinkError(f"{what}: there is no host {address.host!r}; 127.0.0.1 is this machine alone") from None
    family, _, _, _, where = infos[0]
    if token is None and not is_loopback(str(where[0])):
        raise SinkError(
            f"{what}: other machines could look; give a token ({TOKEN_VARIABLE} in the environment, or --serve-token), "
            "or leave the host out"
        )
    try:
        found = socket.create_server(where[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise SinkError(f"{what}: {_reason(error, address)}") from None
    found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)  # connections inherit both
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)
    return found


def url(listening: socket.socket) -> str:
    """What to type into a browser."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def cookie_of(token: str) -> str:
    """What a browser keeps in the place of the token: good for as long as the token is, and not to be turned back."""
    return hmac.new(token.encode(), b"segrt live view", hashlib.sha256).hexdigest()


def _reason(error: OSError, address: Address) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use; give another, or 0 for any that is free"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"port {address.port} takes more rights than you have; give one from 1024 on"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{address.host} is no address of this machine"
    return (error.strerror or str(error)).lower()
