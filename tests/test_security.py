"""Keys, scopes and limits: who may do what, how often, and what a browser cannot be used for."""

from datetime import UTC, datetime, timedelta

import pytest

from api import security
from api.keys import make_key
from api.problems import Problem
from api.security import Buckets, Keyring, Principal, host_of
from api.settings import Settings
from api.shell import check_json, key_in

LOCAL, OPEN = Settings(data="x"), Settings(data="x", host="0.0.0.0")


def test_local_needs_no_key():
    """On the loopback nobody needs a key, and nobody sees the truth unless the server was told so."""
    who = Keyring(LOCAL).who(None)
    assert [who.may(scope) for scope in ("runs:read", "runs:write", "admin", "truth:read")] == [
        True,
        True,
        True,
        False,
    ]
    assert Keyring(Settings(data="x", truth=True)).who(None).may("truth:read")
    assert Keyring(OPEN).who(None) is None


def test_wrong_key_is_nobody():
    """A key that is wrong, revoked or expired is nobody's, on the loopback too."""
    text, row = make_key("screen", ["runs:read"])
    old_text, old = make_key("old", ["runs:read"], datetime.now(UTC) - timedelta(days=1))
    gone_text, gone = make_key("gone", ["admin"])
    from dataclasses import replace

    ring = Keyring(LOCAL)
    ring.learn([row, old, replace(gone, revoked_at=datetime.now(UTC))])
    assert ring.who(text) == Principal(f"key:{row.id}", frozenset({"runs:read"}))
    for wrong in (
        text[:-1] + ("0" if text[-1] != "0" else "1"),
        old_text,
        gone_text,
        "",
        "mh_x",
        "ключ",
        "\udc80",
    ):
        assert ring.who(wrong) is None


def test_revoked_key_ends(monkeypatch):
    """What was found good is not remembered beyond the next reading of the keys."""
    text, row = make_key("screen", ["runs:read"])
    ring = Keyring(OPEN)
    ring.learn([row])
    assert ring.who(text) is not None
    ring.learn([])
    assert ring.who(text) is None


def test_admin_is_not_truth():
    """An administrator reads and writes everything, but the truth needs its own scope."""
    admin = Principal("key:1", frozenset({"admin"}))
    admin.need("runs:read", "runs:write")
    with pytest.raises(Problem, match="truth:read"):
        admin.need("truth:read")


def test_bucket_holds_the_rate(monkeypatch):
    """So many at once, then so many a second, each client by itself."""
    now = [100.0]
    monkeypatch.setattr(security.time, "monotonic", lambda: now[0])
    buckets = Buckets(rate=2.0, burst=3)
    assert [buckets.take("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert buckets.take("b") == 0.0
    now[0] += 0.5
    assert [buckets.take("a"), buckets.take("a")] == [0.0, 0.5]
    now[0] += 1000
    assert [buckets.take("a") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert Buckets(0.0, 1).take("a") == 0.0


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost:8000", "localhost"),
        ("[::1]:8000", "::1"),
        ("http://a.b:80", "a.b"),
        ("A.B", "a.b"),
        ("", ""),
    ],
)
def test_host_is_cut_out(header, name):
    """Of a Host or Origin header the name counts."""
    assert host_of(header) == name


def test_key_is_found_in_headers():
    """A key comes as X-API-Key, as a bearer, or as a subprotocol of a WebSocket."""
    assert key_in({b"x-api-key": b"k"}) == "k"
    assert key_in({b"authorization": b"Bearer k"}) == "k"
    assert key_in({b"authorization": b"Basic abc"}) is None
    assert key_in({b"sec-websocket-protocol": b"meterhouse, key.mh_1"}) == "mh_1"
    assert key_in({}) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b'{"a":1,"a":2}', "once"), (b'{"a":NaN}', "NaN"), (b'{"a":-Infinity}', "-Infinity"), (b"\xff", "UTF-8"),
        (b'"\\ud800"', "surrogate"), (b"[" * 100_000, "nesting"), (b"[" * 40 + b"]" * 40, "32 levels"),
        (b'{"a":' + b"9" * 5000 + b"}", "JSON"), (b"{", "JSON"), (b"{'a':1}", "JSON"), (b'{"a":1}x', "JSON"),
    ],
)  # fmt: skip
def test_doubtful_json_is_refused(text, found):
    """JSON that is none, or means different things to different readers, is refused in words."""
    with pytest.raises(Problem, match=found) as refused:
        check_json(text)
    assert refused.value.status == 400


def test_plain_json_passes():
    """Any other JSON is taken as it is."""
    check_json('{"a": [1, 2.5, null, "表", {"b": {}}]}'.encode())
