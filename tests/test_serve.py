"""How a server is started, told what is wrong before it is, stopped, and started again; keys and their commands."""

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
from pathlib import Path

import pytest
from websockets.sync.client import connect

from api.app import lock_folder
from api.client import Client, Refused
from api.registry import Registry, Unavailable, registry_url
from api.settings import LOCK_FILE, VARIABLE, Settings, is_loopback
from sim.cli import main
from tests.processes import processes_of, wait_for_processes, wait_until
from tests.servers import Served, free_port


@pytest.fixture
def call(capsys, monkeypatch):
    """Runs a command line in this process; gives its exit code, its output and its error lines. Nothing is served."""
    import uvicorn

    def run(*words):
        code = main([str(word) for word in words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err.splitlines()

    def serving(*_, **__):
        raise AssertionError("it would have been served")

    monkeypatch.setattr(uvicorn.Server, "run", serving)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("METERHOUSE_DATA", raising=False)
    monkeypatch.delenv("METERHOUSE_DATABASE", raising=False)
    return run


def tree(folder):
    """All that is in a folder, with what the files hold."""
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@pytest.fixture
def refused(call, tmp_path):
    """The lines by which a server refuses to start; it leaves nothing behind."""

    def run(*words, data="data"):
        before = tree(tmp_path)
        port = () if "--port" in words else ("--port", free_port())
        code, out, errors = call("serve", *words, *port, "--data", tmp_path / data)
        assert (code, out) == (2, "")
        assert tree(tmp_path) == before
        return [line.replace(str(tmp_path), "TMP") for line in errors]

    return run


# --- what keeps a server from starting -------------------------------------------------------------------


def test_taken_port_is_refused(refused):
    """A port on which somebody listens is refused, whether it is on this address or on all."""
    for address in ("127.0.0.1", "0.0.0.0"):
        with socket.create_server((address, 0)) as taken:
            port = taken.getsockname()[1]
            line = f"--port {port}: expected a port that is free, found: address already in use"
            assert refused("--port", port) == [line]
            assert refused("luoyang", "--port", port) == [line]


@pytest.mark.parametrize(
    "host", ["192.0.2.1", "store.invalid", "localhost:8000", "a" * 64 + ".example", "[::1]"]
)
def test_address_of_another_machine_is_refused(refused, host):
    """An address that this machine has not is refused as such, and not for want of a key."""
    (line,) = refused("--host", host)
    assert line.startswith(f"--host {host}: expected an address of this machine, found: ")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ("file", "'TMP/file': file exists"), ("file/below", "'TMP/file/below': not a directory"),
        ("/proc/meterhouse", "'/proc/meterhouse': no such file or directory"),
    ],
)  # fmt: skip
def test_data_must_be_a_folder(refused, tmp_path, data, found):
    """A data folder that is a file, or cannot be made, is refused."""
    (tmp_path / "file").write_text("mine")
    assert refused(data=data) == [f"--data: expected a folder that can be used, found {found}"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_data_must_be_writable(refused, tmp_path):
    """A data folder in which nothing can be made is refused."""
    (tmp_path / "data").mkdir(mode=0o500)
    found = "found 'TMP/data': permission denied"
    assert refused() == [f"--data: expected a folder that can be used, {found}"]


def test_folder_of_another_server_is_refused(refused, tmp_path):
    """A data folder that another process has is refused with its number, before anything else about it."""
    held = lock_folder(tmp_path / "data")
    try:
        assert (tmp_path / "data" / LOCK_FILE).exists()
        in_use = f"found 'TMP/data' in use by process {os.getpid()}"
        line = f"--data: expected a folder that no server uses, {in_use}"
        assert refused() == [line]
        assert refused("--require-key") == [line]
        assert refused("--database", "postgresql://127.0.0.1:1/x") == [line]
    finally:
        os.close(held)


@pytest.mark.parametrize(
    ("options", "option"),
    [
        (("--require-key",), "--require-key"), (("--host", "0.0.0.0"), "--host 0.0.0.0"), (("--host", "::"), "--host ::"),
        (("--host", "0.0.0.0", "--database", "sqlite:///TMP/apart.db"), "--host 0.0.0.0"),
    ],
)  # fmt: skip
def test_open_server_needs_a_key(refused, call, tmp_path, options, option):
    """Beyond the loopback, or with --require-key, a registry without a good key is refused with what to do."""
    options = [word.replace("TMP", str(tmp_path)) for word in options]
    where = "--database ..." if "--database" in options else "--data TMP/data"
    wanted = "expected an API key in the registry, found none"
    line = f"{option}: {wanted}: make one with `meterhouse key create NAME --scope runs:read {where}`"
    assert refused(*options) == [line]
    registry = (
        options[options.index("--database") :] if "--database" in options else ["--data", tmp_path / "data"]
    )
    for more in (("--days", "0"), ("--json",)):
        code, out, _ = call("key", "create", "gone", *registry, *more)
        assert code == 0
    assert call("key", "revoke", json.loads(out)["id"], *registry)[0] == 0
    assert refused(*options) == [line]
    assert call("key", "create", "good", *registry)[0] == 0
    with pytest.raises(AssertionError, match="it would have been served"):
        call("serve", *options, "--port", free_port(), "--data", tmp_path / "data")


def test_loopback_is_an_address():
    """Of addresses those of the loopback need no key; a name that only begins like one does."""
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost")))
    for host in (
        "0.0.0.0",
        "::",
        "127.example.com",
        "127.0.0.1.example.com",
        "",
        "10.0.0.1",
        "localhost.example",
    ):
        assert not is_loopback(host)
        assert Settings(data="x", host=host).needs_key


def test_mistakes_of_a_scenario_are_told_as_check_tells_them(refused, call, tmp_path):
    """A scenario that is not there, or has mistakes, is refused with the lines of `meterhouse check`, all of them."""
    broken = tmp_path / "broken.toml"
    broken.write_text('name = "broken"\n[robots]\ncoutn = 2\ncarry = "x"\n[tiem]\ndays = 1\n')
    for words in (("luoyan",), (broken,), ("luoyang", "--set", "robots.carry=0", "--set", "time.dasy=3")):
        code, _, lines = call("check", *words)
        assert code == 2
        assert refused(*words) == [line.replace(str(tmp_path), "TMP") for line in lines]
    assert len(refused(broken)) == 3


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--speed", "fast"), "--speed: expected a number from 0.001 to 1,000,000, or max, found 'fast'"),
        (("--speed", "0"), "--speed: expected a number from 0.001 to 1,000,000, or max, found '0'"),
        (("--speed", "-1"), "--speed: expected a number from 0.001 to 1,000,000, or max, found '-1'"),
        (("--speed", "nan"), "--speed: expected a number from 0.001 to 1,000,000, or max, found 'nan'"),
        (("--speed", "1e7"), "--speed: expected a number from 0.001 to 1,000,000, or max, found '1e7'"),
        (("--seed", str(2**63)), "'--seed': Input should be less than or equal to 9223372036854775807"),
        (("--port", "65536"), "'--port': Input should be less than or equal to 65535"),
        (("--time-limit", "inf"), "'--time-limit': Input should be less than or equal to 10000000"),
        (("--memory-limit", "9999999999"), "'--memory-limit': Input should be less than or equal to 1000000"),
        (("--keep-days", "1e12"), "'--keep-days': Input should be less than or equal to 36500"),
        (("--keep-gb", "nan"), "'--keep-gb': Input should be"),
        (("--rate", "inf"), "'--rate': Input should be less than or equal to 1000000"),
    ],
)
def test_numbers_out_of_range_are_refused(refused, words, line):
    """An option beyond what the server can hold to is refused, and not found out an hour later."""
    (found,) = refused("luoyang", *words)
    assert line in found


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("registry", "registry: expected sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"),
        ("mysql://me:pw@x/y", "mysql://me:***@x/y: expected sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"),
        ("sqlite:///:memory:", "sqlite:///:memory:: expected sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"),
        ("sqlite:////proc/none/x.db", "/proc/none/x.db: expected a file that can be written, found: no such file or directory"),
        ("sqlite:///TMP/text.db", "TMP/text.db: expected a registry, found: file is not a database"),
        (
            "postgresql://me:pw@127.0.0.1:x/y",
            "postgresql://me:***@127.0.0.1:x/y: expected postgresql://USER:PASSWORD@HOST:5432/NAME, with %40 for @",
        ),
        ("postgresql://me:pw@127.0.0.1:1/y", "postgresql://me:***@127.0.0.1:1/y: expected a database that can be opened, found: "),
    ],
)  # fmt: skip
def test_database_that_cannot_be_used_is_refused(refused, tmp_path, url, line):
    """An address of a database that is malformed, of an unknown kind or out of reach is refused, without its password."""
    (tmp_path / "text.db").write_text("no database")
    (found,) = refused("--database", url.replace("TMP", str(tmp_path)))
    assert found.startswith(line)
    assert "pw" not in found


def test_registry_of_a_newer_meterhouse_is_refused(refused, tmp_path):
    """A registry that a newer meterhouse has changed is refused, and left as it is."""
    folder = tmp_path / "data"
    with Registry(registry_url(folder)):
        pass
    with contextlib.closing(sqlite3.connect(folder / "registry.db")) as database, database:
        database.execute("UPDATE registry_version SET version_num = '0999'")
    (line,) = refused()
    assert line.startswith("TMP/data/registry.db: expected a registry of revision ")
    assert line.endswith(" or older, found 0999: a newer meterhouse made it")


def test_start_that_fails_late_is_told_in_a_line(tmp_path):
    """What keeps a server from its own run, when all else has begun, is a line too, and nothing of it is left."""
    with Served(tmp_path / "data", "luoyang", "--live", "1"):
        pass
    server = Served(tmp_path / "data", "tiny", "--live", "1")
    server.start(wait=False)
    assert server.process.wait(60) == 2
    wait_for_processes(server, lambda found: not found)
    line = "serve: 1 live runs are open already, and no more may be; stop one first"
    assert [told for told in server.log().splitlines() if told.startswith(("serve:", "Application"))] == [
        line
    ]
    with Served(tmp_path / "data") as server, server.client() as client:
        assert [run["scenario"]["name"] for run in client.get("/runs")["runs"]] == ["luoyang"]


def test_second_server_on_a_folder_is_refused(tmp_path, call):
    """While a server runs another one, and `data clean`, keep away from its folder; looking is no harm."""
    data = ("--data", tmp_path / "data")
    with Served(tmp_path / "data", "tiny", "--speed", "1") as server:
        in_use = f"found '{tmp_path / 'data'}' in use by process {server.process.pid}"
        line = f"--data: expected a folder that no server uses, {in_use}"
        for words in (
            ("serve", "--port", free_port()), ("serve", "luoyang", "--port", free_port()), ("data", "clean", "--dry-run"),
            ("data", "clean", "--larger-than", "0.001"),
        ):  # fmt: skip
            assert call(*words, *data) == (2, "", [line])
        runs = json.loads(call("data", "list", "--json", *data)[1])["runs"]
        assert [(run["run"], run["state"], run["current"]) for run in runs] == [("r1", "running", True)]
        with server.client() as client:
            assert client.get("/ready")["ready"]
            assert client.get("/slots")["facts"] > 0


# --- TLS -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Two certificates of our own with their keys, and the first key behind a passphrase."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl")
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("first", "second"):
        made = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ]
        made += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
        made += ["-out", folder / f"{name}.pem", "-keyout", folder / f"{name}.key"]
        subprocess.run(made, check=True, capture_output=True)
    hidden = ["openssl", "ec", "-aes256", "-passout", "pass:x", "-in", folder / "first.key"]
    subprocess.run([*hidden, "-out", folder / "hidden.key"], check=True, capture_output=True)
    (folder / "text.pem").write_text("no certificate")
    return folder


WANTED = "expected a certificate and its key, in PEM and without a passphrase"


@pytest.mark.parametrize(
    ("certificate", "key", "line"),
    [
        ("first.pem", None, "--ssl-certfile: expected a certificate together with --ssl-keyfile, found one of them"),
        (None, "first.key", "--ssl-certfile: expected a certificate together with --ssl-keyfile, found one of them"),
        ("none.pem", "first.key", "--ssl-certfile: expected a file that can be read, found 'CERT/none.pem': no such file or directory"),
        ("first.pem", ".", "--ssl-keyfile: expected a file that can be read, found 'CERT': is a directory"),
        (
            "first.pem", "second.key",
            "--ssl-keyfile: expected the key of the certificate, found that of another: 'CERT/first.pem' and 'CERT/second.key'",
        ),
        *[
            (
                certificate, key,
                f"--ssl-certfile: {WANTED}, found 'CERT/{certificate}' and 'CERT/{key}'",
            )
            for certificate, key in (("first.pem", "hidden.key"), ("text.pem", "first.key"), ("first.pem", "text.pem"))
        ],
    ],
)  # fmt: skip
def test_certificate_that_is_none_is_refused(refused, certificates, certificate, key, line):
    """A certificate or key that is missing, no such thing or of another is refused, without asking for a passphrase."""
    words = () if certificate is None else ("--ssl-certfile", certificates / certificate)
    words += () if key is None else ("--ssl-keyfile", certificates / key)
    assert [found.replace(str(certificates), "CERT") for found in refused(*words)] == [line]


class Secure(Served):
    """A server under test that speaks TLS."""

    def __init__(self, folder, certificates, *arguments):
        files = (
            "--ssl-certfile",
            str(certificates / "first.pem"),
            "--ssl-keyfile",
            str(certificates / "first.key"),
        )
        super().__init__(folder, *arguments, *files)
        self.url = f"https://127.0.0.1:{self.port}"
        self.context = ssl.create_default_context(cafile=str(certificates / "first.pem"))

    def client(self, **more):
        return Client(self.url, self.key, context=self.context, **more)


def test_tls_is_spoken(tmp_path, certificates):
    """With a certificate a server answers HTTPS and WSS and nothing else."""
    with Secure(tmp_path / "data", certificates, "tiny") as server:
        with server.client() as client:
            assert client.get("/slots")["run"] == "r1"
        address = f"wss://127.0.0.1:{server.port}/runs/current/live"
        with connect(address, ssl=server.context, max_size=10_000_000) as viewer:
            assert json.loads(viewer.recv(timeout=10))["snapshot"]["run"] == "r1"
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
            wire.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert not wire.recv(100).startswith(b"HTTP/1.1 2")
        assert server.stop() < 20
        assert "Traceback" not in server.log()


# --- the end of a server, and its next beginning ---------------------------------------------------------


def interrupt(server):
    """Ctrl-C at a terminal: for every process of the group."""
    os.killpg(server.process.pid, signal.SIGINT)


def interrupt_twice(server):
    """Ctrl-C by somebody who is impatient."""
    interrupt(server)
    with contextlib.suppress(ProcessLookupError):
        interrupt(server)


def end_all(server):
    """What a service manager sends to all processes of a service."""
    os.killpg(server.process.pid, signal.SIGTERM)


def test_signals_end_a_busy_server(tmp_path):
    """Ctrl-C (130) and SIGTERM end a busy server in any case; nothing of it is left, and the next one goes on from there."""
    server = Served(tmp_path / "data", "luoyang", "--set", "time.days=36500", "--speed", "max")
    reached_s = -1.0
    ends = (
        (lambda s: s.process.send_signal(signal.SIGINT), 130), (interrupt, 130), (interrupt_twice, 130),
        (lambda s: s.process.terminate(), -signal.SIGTERM), (end_all, -signal.SIGTERM),
    )  # fmt: skip
    for end, code in ends:
        server.start()
        with contextlib.ExitStack() as stack:
            client = stack.enter_context(server.client())
            viewer = stack.enter_context(
                connect(f"ws://127.0.0.1:{server.port}/runs/current/live", max_size=10_000_000)
            )
            viewer.recv(timeout=10)
            half = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            half.sendall(b"GET /slots HTTP/1.1\r\nHost: local")
            told = client.get("/runs/current")
            assert (told["id"], told["state"], told["speed"]) == ("r1", "running", "max")
            assert told["t_s"] >= reached_s
            reached_s = wait_until(
                lambda c=client, r=reached_s: (now := c.get("/runs/r1")["t_s"]) > r and now
            )
            assert len(processes_of(server)) >= 4  # the server, its helpers, a worker, a reader
            end(server)
            assert server.process.wait(20) == code
        wait_for_processes(server, lambda found: not found)
        # What every process was told at once, nobody else has to make words of.
        reached_s = reached_s if end is not end_all and end is not interrupt_twice else 0.0
    log = server.log()
    assert "Traceback" not in log
    assert [line for line in log.splitlines() if not line.startswith("{")] == []


def test_interrupted_start_is_quiet(tmp_path):
    """Ctrl-C while a server starts ends it with 130, without a word, whatever it is at; the next one starts."""
    server = Served(tmp_path / "data")
    for processes in (2, 3):  # with the tracker of resources, with the fork server
        server.start(wait=False)
        wait_for_processes(server, lambda found, n=processes: len(found) >= n)
        interrupt(server)
        assert server.process.wait(20) == 130
        wait_for_processes(server, lambda found: not found)
        assert [line for line in server.log().splitlines() if not line.startswith("{")] == []
    assert '"level": "error"' not in server.log()
    with server.start().client() as client:
        assert client.get("/runs")["runs"] == []
    server.stop()


def test_server_goes_on_with_its_run(tmp_path):
    """Started again a server takes up its unfinished run; other values, seeds, or --fresh begin another one."""
    runs = []

    def start(*arguments):
        with Served(tmp_path / "data", "--speed", "1", *arguments) as server, server.client() as client:
            told = client.get("/runs/current")
            runs.append(told["id"])
            return told

    first = start("luoyang", "--set", "time.days=7")
    assert (first["state"], first["seed"], first["created_by"]) == ("running", 1, "serve")
    assert start("luoyang", "--set", "time.days=8")["end_s"] == 8 * 86_400
    assert start("luoyang", "--set", "time.days=7", "--seed", "5")["seed"] == 5
    assert start("luoyang", "--set", "time.days=7")["t_s"] >= first["t_s"]
    start("luoyang", "--set", "time.days=7", "--fresh")
    start("luoyang", "--set", "time.days=7")  # the last of them
    assert runs == ["r1", "r2", "r3", "r1", "r4", "r4"]


def test_finished_run_is_not_taken_up(tmp_path):
    """When the last run is over, a server that is started again begins another one; a paused one stays paused."""
    with Served(tmp_path / "data", "tiny", "--speed", "max") as server, server.client() as client:
        digest = client.wait("current", 60)["digest"]
    with Served(tmp_path / "data", "tiny", "--speed", "60") as server, server.client() as client:
        assert client.get("/runs/current")["id"] == "r2"
        assert client.get("/runs/r1")["digest"] == digest
        client.steer(state="paused")
    with Served(tmp_path / "data", "tiny", "--speed", "60") as server, server.client() as client:
        told = client.get("/runs/current")
        assert (told["id"], told["state"]) == ("r2", "paused")
        assert client.get("/runs")["runs"][-1]["id"] == "r1"
        client.steer(state="running", speed="max")
        assert client.wait("current", 60)["digest"] == digest


def test_processes_know_no_address_of_a_database(tmp_path):
    """What a server was started with stays with it: the processes that it begins have no settings around them."""
    url = registry_url(tmp_path)
    with Served(tmp_path / "data", "tiny", "--database", url) as server:
        around = {}
        for process in processes_of(server):
            around[process] = Path(f"/proc/{process}/environ").read_bytes()
        assert len(around) >= 4
        assert not any(f"{VARIABLE}=".encode() in each for each in around.values())


# --- keys ------------------------------------------------------------------------------------------------


def test_keys_are_made_listed_and_revoked(call, tmp_path):
    """A key is printed once; the list has its name, scopes and state and never the key."""
    data = ("--data", tmp_path / "data")
    code, out, errors = call("key", "create", "screen", *data)
    text = out.strip()
    assert (code, len(text)) == (0, 3 + 8 + 1 + 64)
    number = text[3:11]
    assert errors == [f"Key {number} for screen may runs:read. It is shown this once: only its hash is kept."]
    code, out, errors = call(
        "key",
        "create",
        "wms",
        "--scope",
        "runs:write",
        "--scope",
        "runs:read",
        "--days",
        "30",
        "--json",
        *data,
    )
    made = json.loads(out)
    assert (code, errors, made["name"]) == (0, [], "wms")
    assert made["scopes"] == ["runs:read", "runs:write"]
    assert made["key"].startswith(f"mh_{made['id']}_")
    assert (
        json.loads(call("key", "create", "old", "--days", "0", "--json", *data)[1])["expires_at"] is not None
    )
    code, out, errors = call("key", "revoke", number, *data)
    assert (code, out, errors) == (0, f"key {number} (screen) is revoked\n", [])
    again = json.loads(call("key", "revoke", number, "--json", *data)[1])
    keys = json.loads(call("key", "list", "--json", *data)[1])["keys"]
    assert [(key["name"], key["scopes"], key["state"]) for key in keys] == [
        ("screen", ["runs:read"], "revoked"), ("wms", ["runs:read", "runs:write"], "good"), ("old", ["runs:read"], "expired"),
    ]  # fmt: skip
    assert again == {"id": number, "name": "screen", "revoked_at": keys[0]["revoked_at"]}
    assert set(keys[0]) == {"id", "name", "scopes", "created_at", "expires_at", "revoked_at", "state"}
    table = call("key", "list", *data)[1].splitlines()
    assert table[0].split() == ["key", "name", "scopes", "state", "made", "expires"]
    assert [line.split()[1] for line in table[2:]] == ["screen", "wms", "old"]
    secret = text[12:]
    assert not any(secret in line for line in table)
    assert secret.encode() not in (tmp_path / "data" / "registry.db").read_bytes()


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (("create", " "), ["name: expected a name for the key, found nothing"]),
        (
            ("create", "x", "--scope", "runs:reed", "--scope", "all"),
            [
                "scopes: expected runs:read, runs:write, truth:read, admin, found 'runs:reed', did you mean 'runs:read'?",
                "scopes: expected runs:read, runs:write, truth:read, admin, found 'all'",
            ],
        ),
        (("list",), ["--data: expected the folder of a server, found no registry under 'TMP/data'"]),
        (("revoke", "12345678"), ["--data: expected the folder of a server, found no registry under 'TMP/data'"]),
        (
            ("create", "x", "--database", "mysql://x"),
            ["mysql://x: expected sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"],
        ),
        (("list", "--database", "nowhere"), ["nowhere: expected sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"]),
    ],
)  # fmt: skip
def test_wrong_key_commands_make_nothing(call, tmp_path, words, lines):
    """A command about keys that makes no sense is refused in words, and makes no folder and no registry."""
    code, out, errors = call("key", *words, "--data", tmp_path / "data")
    assert (code, out) == (2, "")
    assert [line.replace(str(tmp_path), "TMP") for line in errors] == lines
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("days", ["inf", "nan", "-1", "1e9"])
def test_key_lasts_for_some_time(call, tmp_path, days):
    """A key that is to last for longer than dates go is refused."""
    code, _, errors = call("key", "create", "x", "--days", days, "--data", tmp_path / "data")
    assert code == 2
    assert len(errors) == 1
    assert "'--days': Input should be" in errors[0]
    assert tree(tmp_path) == {}


def test_unknown_key_is_named(call, tmp_path):
    """To revoke a key that is not there is refused with those that are."""
    data = ("--data", tmp_path)
    number = json.loads(call("key", "create", "screen", "--json", *data)[1])["id"]
    near = f"{number[:-1]}{'0' if number[-1] != '0' else '1'}"
    code, _, errors = call("key", "revoke", near, *data)
    assert code == 2
    assert errors == [f"key: expected one of {number}, found '{near}', did you mean '{number}'?"]


def test_registry_that_goes_away_is_told(call, tmp_path, monkeypatch):
    """A registry that cannot be used at the moment is a line, and no traceback."""
    assert call("key", "create", "screen", "--data", tmp_path)[0] == 0

    def gone(_):
        raise Unavailable("the registry is locked by someone else", full=False)

    monkeypatch.setattr(Registry, "keys", gone)
    code, _, errors = call("key", "list", "--data", tmp_path)
    assert code == 2
    found = "found: the registry is locked by someone else"
    assert errors == [f"{tmp_path / 'registry.db'}: expected a registry that can be used, {found}"]


def test_revoked_key_stops_working(tmp_path, call):
    """A server learns within seconds of keys that are made and revoked beside it, and ends the use of them."""
    data = ("--data", tmp_path / "data")

    def made(*options):
        return json.loads(call("key", "create", "x", "--json", *options, *data)[1])

    first = made("--scope", "admin")
    with Served(tmp_path / "data", "tiny", "--require-key", key=first["key"]) as server:
        second = made()
        expired = made("--days", "0")

        def status(key):
            try:
                with Client(server.url, key, patience_s=0.0) as client:
                    return client.request("GET", "/slots")[0]
            except Refused as refused:
                return refused.status

        wait_until(lambda: status(second["key"]) == 200)
        assert status(expired["key"]) == 401
        assert call("key", "revoke", second["id"], *data)[0] == 0
        wait_until(lambda: status(second["key"]) == 401)
        assert status(first["key"]) == 200
        with Client(server.url, first["key"]) as client:
            client.start("tiny")
