"""Who is let in: with a token whoever has it; without one only browsers and programs of this machine itself."""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from .address import cookie_of, is_loopback

_A_MONTH_S = 30 * 24 * 3600


def middleware(token: str | None) -> Middleware:
    """Refuse who may not look, before any path is looked at."""

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        named = _name_and_port(request.host)
        if token is None:
            # A page elsewhere may have its own name resolve to 127.0.0.1; its requests then carry that name.
            if named is None or not _is_this_machine(named[0]):
                raise web.HTTPForbidden(text=f"host {request.host!r} is not this machine: ask for 127.0.0.1\n")
        elif named is None:
            raise web.HTTPBadRequest(text=f"{request.host!r} is no host\n")
        elif "token" in request.query and _same(request.query["token"], token):
            if request.path == "/":  # the address line, and what is copied from it, need not show the token
                raise _remember(token, named[1])
        elif not _knows(request, token, named[1]):
            raise web.HTTPUnauthorized(
                text="a token is needed: open /?token=..., or send Authorization: Bearer ...\n",
                headers={hdrs.WWW_AUTHENTICATE: "Bearer"},
            )
        # Browsers let any page open a WebSocket to any host, cookies and all, but say on whose behalf.
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and not _is_of(origin, request.host):
            raise web.HTTPForbidden(text=f"pages of {origin!r} may not look\n")
        return await handler(request)

    return admit


def _name_and_port(host: str) -> tuple[str, int] | None:
    """What a Host header says; None where it is none."""
    try:
        parts = urlsplit(f"//{host}")
        return parts.hostname or "", parts.port or 80
    except ValueError:  # a bracket that stays open, a port that is no number, ...
        return None


def _is_of(origin: str, host: str) -> bool:
    try:
        return bool(host) and urlsplit(origin).netloc == host
    except ValueError:
        return False


def _is_this_machine(name: str) -> bool:
    return name == "localhost" or is_loopback(name)


def _knows(request: web.Request, token: str, port: int) -> bool:
    scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() == "bearer" and _same(given.strip(), token):
        return True
    return _same(request.cookies.get(_cookie_name(port), ""), cookie_of(token))


def _remember(token: str, port: int) -> web.HTTPSeeOther:
    answer = web.HTTPSeeOther("/")
    # Lax: sent when the link is followed from a mail or a note, but never with another page's own requests.
    answer.set_cookie(_cookie_name(port), cookie_of(token), httponly=True, samesite="Lax", max_age=_A_MONTH_S)
    return answer


def _cookie_name(port: int) -> str:
    """Browsers share cookies among the ports of a host."""
    return f"segrt-{port}"


def _same(given: str, expected: str) -> bool:
    """Takes the same time wherever they differ. Headers may bring bytes that are no text."""
    return hmac.compare_digest(given.encode(errors="surrogatepass"), expected.encode())
