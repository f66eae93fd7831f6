"""Has a public generator make a client of the API, and uses it; `make generated-client` calls it.

It runs in the generator's own environment and imports nothing of the project. A warning of the generator, a
module that cannot be imported, an example that a form of the client cannot hold, and an answer of a server
that is not what it should be: each ends it with exit code 1.
"""

import argparse
import contextlib
import importlib
import json
import os
import pkgutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Final

HERE: Final = Path(sys.executable).parent
PACKAGE: Final = "generated"


def run(*command: "str | Path", **more: Any) -> str:
    """What a program prints; its failure is ours."""
    environment = {**os.environ, "PATH": f"{HERE}{os.pathsep}{os.environ['PATH']}"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, **more)  # noqa: S603
    if ran.returncode:
        words = " ".join(map(str, command))
        raise SystemExit(f"try_client: {words}: exit code {ran.returncode}\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def generate(document: Path, folder: Path) -> int:
    """Have the client made, compiled and imported; gives the number of its modules."""
    options = ["--path", document, "--output-path", folder / PACKAGE, "--meta", "none"]
    run("openapi-python-client", "generate", *options, "--fail-on-warning", cwd=folder)
    run(sys.executable, "-m", "compileall", "-q", folder / PACKAGE)
    sys.path.insert(0, str(folder))
    warnings.simplefilter("error")
    package = importlib.import_module(PACKAGE)
    names = [found.name for found in pkgutil.walk_packages(package.__path__, f"{PACKAGE}.")]
    for name in names:
        importlib.import_module(name)
    return len(names)


def module_of(operation: dict[str, Any]) -> ModuleType:
    """The module of an operation."""
    tag = operation["tags"][0].replace(" ", "_")
    return importlib.import_module(f"{PACKAGE}.api.{tag}.{operation['operationId']}")


def read_examples(document: dict[str, Any], client: Any) -> int:
    """Have the client read every example and write it again; gives how many there are."""
    seen = 0
    for by_method in document["paths"].values():
        for operation in by_method.values():
            for example, again in (*_bodies(operation), *_answers(operation, client)):
                for where, before, after in differences(example, again):
                    name = operation["operationId"]
                    raise SystemExit(f"try_client: {name}: {where}: {before!r} came back as {after!r}")
                seen += 1
    return seen


def _bodies(operation: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """The examples of a body, each with what the client makes of it."""
    models = importlib.import_module(f"{PACKAGE}.models")
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    for example in content.get("examples", {}).values():
        value, schema = example["value"], content["schema"]
        reference = schema["discriminator"]["mapping"][value["type"]] if "oneOf" in schema else schema["$ref"]
        yield value, getattr(models, reference.rpartition("/")[2]).from_dict(value).to_dict()


def _answers(operation: dict[str, Any], client: Any) -> Iterator[tuple[Any, Any]]:
    """The examples of answers, each with what the client makes of it."""
    import httpx

    for status, response in operation["responses"].items():
        example = response.get("content", {}).get("application/json", {}).get("example")
        if example is not None:
            answer = httpx.Response(int(status), json=example)
            parsed = module_of(operation)._parse_response(client=client, response=answer)
            yield example, parsed.to_dict() if hasattr(parsed, "to_dict") else parsed


def differences(before: Any, after: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two documents differ; times are equal when they are the same moment."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            yield from differences(before.get(key, ...), after.get(key, ...), f"{where}/{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for k, pair in enumerate(zip(before, after, strict=True)):
            yield from differences(*pair, f"{where}/{k}")
    elif type(before) is not type(after) or _moment(before) != _moment(after):
        yield where, before, after


def _moment(value: Any) -> Any:
    """A time with its zone as such; all else as it is."""
    with contextlib.suppress(TypeError, ValueError):
        moment = datetime.fromisoformat(value)
        return value if moment.tzinfo is None else moment
    return value


@contextlib.contextmanager
def serving(meterhouse: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """A server that wants a key, with the scenario `tiny`; gives its URL and a key."""
    data = folder / "data"
    create = ["key", "create", "generated", "--scope", "runs:read", "--data", data, "--json"]
    key = json.loads(run(meterhouse, *create))["key"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(  # noqa: S603
            [meterhouse, "serve", "tiny", "--require-key", "--port", port, "--data", data],
            stdout=log,
            stderr=log,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_ready(server, url, folder / "log")
            yield url, key
        finally:
            server.terminate()
            server.wait(30)


def _wait_ready(server: "subprocess.Popen[bytes]", url: str, log: Path, timeout_s: float = 60.0) -> None:
    until = time.monotonic() + timeout_s
    while server.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/ready", timeout=10):  # noqa: S310
            return
        time.sleep(0.1)
    raise SystemExit(f"try_client: the server is not ready:\n{log.read_text(encoding='utf-8')}")


def ask(url: str, key: str) -> str:
    """Ask a real server with the client, and hold its answer against what is asked for; gives it in words."""
    client_of = importlib.import_module(f"{PACKAGE}.client").AuthenticatedClient
    ask_slots = importlib.import_module(f"{PACKAGE}.api.state_of_a_run.slots").sync_detailed
    status = importlib.import_module(f"{PACKAGE}.models.slots_status").SlotsStatus
    with client_of(base_url=url, token=key, raise_on_unexpected_status=True) as client:
        answer = ask_slots("current", client=client)
        whole = answer.parsed
        some = ask_slots("current", client=client, status=status.OPEN, limit=2).parsed
    with client_of(base_url=url, token="wrong", raise_on_unexpected_status=True) as client:  # noqa: S106
        refused = ask_slots("current", client=client).parsed
    found = (answer.status_code, len(whole.slots), whole.slots[0].slot, whole.next_, refused.status)
    if found != (200, 12, "1-01-1", None, 401):
        raise SystemExit(f"try_client: expected the 12 slots of tiny, then 401, found {found}")
    if not 0 < len(some.slots) <= 2 or any(slot.status != "open" for slot in some.slots):
        raise SystemExit(f"try_client: expected one or two open slots, found {some.slots}")
    return f"run {whole.run} of {len(whole.slots)} slots"


def main() -> None:
    """Make the client, read the examples with it, and ask a server."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bin", type=Path, help="the folder with the project's own python and meterhouse")
    programs: Path = parser.parse_args().bin.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = run(programs / "python", "-m", "api.document")
        (folder / "openapi.json").write_text(text, encoding="utf-8")
        modules = generate(folder / "openapi.json", folder)
        document = json.loads(text)
        client = importlib.import_module(f"{PACKAGE}.client").Client(
            base_url="", raise_on_unexpected_status=True
        )
        examples = read_examples(document, client)
        with serving(programs / "meterhouse", folder) as (url, key):
            said = ask(url, key)
    print(f"generated client: {modules} modules, {examples} examples read, {said} asked for")


if __name__ == "__main__":
    main()
