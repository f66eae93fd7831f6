"""The API keeps to its own document: schemathesis with every check on, each operation and sequences of them."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from api.serve import create_key
from api.settings import Settings
from tests.servers import Served


def schemathesis(tmp_path, *options):
    """What schemathesis says of a server that needs keys, with a run that has something of everything to tell."""
    folder = tmp_path / "data"
    folder.mkdir()
    scopes = ["admin", "truth:read"]
    key = create_key(Settings(data=str(folder)).registry_url, "contract", scopes, None)["key"]
    with Served(folder, "luoyang_records", "--speed", "1", "--require-key", key=key) as server:
        with server.client() as client:
            client.steer(step_s=36 * 3600)
            until = time.monotonic() + 60
            while client.get("/runs/current")["state"] != "paused":
                assert time.monotonic() < until
                time.sleep(0.05)
            client.settled(client.command("count", {"slots": ["2-07-3"]}))
            described = client.get("/openapi.json")
        for schema in described["components"]["schemas"].values():
            if "properties" in schema:  # the document leaves room for keys to come; here there is none
                schema.setdefault("additionalProperties", False)
        (tmp_path / "openapi.json").write_text(json.dumps(described))
        command = [str(Path(sys.executable).with_name("schemathesis")), "run", "openapi.json"]
        options = ("--url", server.url, *options)
        ran = subprocess.run(
            [*command, "-H", f"X-API-Key: {key}", "--seed", "1", "--request-timeout", "30", *options],
            capture_output=True, text=True, timeout=3000, cwd=tmp_path, check=False,
            env={**os.environ, "NO_COLOR": "1"},
        )  # fmt: skip
        with server.client() as client:
            assert client.get("/ready")["ready"]
        log = server.log()
    assert '"level": "error"' not in log
    assert "Traceback" not in log
    return ran


@pytest.mark.timeout(900)
def test_schemathesis_is_green(tmp_path):
    """Examples, coverage, fuzzing and stateful sequences over the whole document find nothing."""
    ran = schemathesis(tmp_path, "--max-examples", "4")
    assert ran.returncode == 0, ran.stdout[-20_000:]
    assert "Tested: 6" in ran.stdout
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert f"✅ {phase}" in ran.stdout


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_schemathesis_is_green_for_long(tmp_path):
    """Nor do twenty times as many."""
    ran = schemathesis(tmp_path, "--max-examples", "80")
    assert ran.returncode == 0, ran.stdout[-20_000:]
