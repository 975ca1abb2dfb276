import socket

import pytest

from segrt import ConfigError, SinkError
from segrt.runtime.serve.address import Address, check_token, cookie_of, is_loopback, listen, parse_address, url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8080", Address("127.0.0.1", 8080)),
        ("0", Address("127.0.0.1", 0)),
        ("0.0.0.0:80", Address("0.0.0.0", 80)),
        ("scanner.local:8080", Address("scanner.local", 8080)),
        ("[::1]:8080", Address("::1", 8080)),
    ],
)
def test_an_address_is_a_port_or_a_host_and_a_port(text, expected):
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("web", "port of 0..65535, found 'web'"),
        ("65536", "65535"),
        ("-1", "65535"),
        ("", "65535"),
        ("٣", "65535"),
        (":8080", "a host before the colon"),
        ("host:", "65535"),
        ("::1:8080", r"brackets: \[::1\]"),
    ],
)
def test_what_is_no_address_is_one_line(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_address(text)


@pytest.mark.parametrize("token", ["", "short", "twelve chars", "zwölf-zeichen-oder-mehr", "semi;colon;here"])
def test_a_token_that_keeps_nobody_out_or_does_not_travel_is_refused(token):
    with pytest.raises(ConfigError, match="12 characters"):
        check_token(token)


def test_good_tokens_and_none_pass():
    assert check_token("0123456789ab") == "0123456789ab"
    assert check_token(None) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_other_hosts_need_a_token(host):
    with pytest.raises(SinkError, match=r"SEGRT_SERVE_TOKEN.*--serve-token"):
        listen(Address(host, 0), None)
    with listen(Address("0.0.0.0", 0), "0123456789ab") as listening:
        assert url(listening).startswith(f"http://{socket.gethostname()}:")


def test_a_port_in_use_a_foreign_address_and_an_unknown_host_are_one_line_each():
    with listen(Address("127.0.0.1", 0), None) as first:
        port = first.getsockname()[1]
        with pytest.raises(SinkError, match=f"127.0.0.1:{port}: the port is in use; give another, or 0"):
            listen(Address("127.0.0.1", port), None)
    with pytest.raises(SinkError, match="no address of this machine"):
        listen(Address("192.0.2.1", 8080), "0123456789ab")
    with pytest.raises(SinkError, match="there is no host"):
        listen(Address("nowhere.invalid", 8080), "0123456789ab")


def test_a_privileged_port_is_one_line(monkeypatch):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refused)  # root, as whom tests may run, would be given it
    with pytest.raises(SinkError, match="port 80 takes more rights than you have; give one from 1024 on"):
        listen(Address("127.0.0.1", 80), None)


def test_loopback_is_told_from_the_rest():
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.8.9.10", "::1"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "192.168.0.1", "fe80::1%eth0", "localhost.example"))


def test_a_cookie_does_not_show_its_token():
    assert "0123456789ab" not in cookie_of("0123456789ab")
    assert cookie_of("0123456789ab") != cookie_of("0123456789ac")
