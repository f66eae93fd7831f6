"""One replication as a unit of work: a `Job` says what to simulate, an `Outcome` what it came to.

A job is plain data with a key. The key is made of all that the outcome depends on and of nothing else, so
that the same work has the same key in every study and on every machine, and is done once. `run_job` can run
in any process that has this program; it keeps the figures and drops the facts, which the same job would give
again.

Left out: where jobs run (`engines`), where outcomes are kept (`studybook`), and the commands that a run can
be given on its way: a replication has none.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from sim.kpis import RunFacts
    from sim.scenario import Loaded, Scenario

WEEK_MS: Final = 7 * 86_400_000
"""Milliseconds of a week."""

NOT_BY_WEEK: Final = frozenset({
    # They tell the state at the end of the run, or wait for it.
    "open_orders_end", "overdue_meters_end", "stock_age_days", "errors_missed", "performance_availability",
    "recall_time_h",
    # They follow boxes over the whole run, which would be read again for every week of it.
    "count_robot_hours", "days_away", "fefo_violations", "fifo_violations", "order_time_by_cause_s",
})  # fmt: skip
"""The KPIs that `Outcome.weeks` leaves out; a KPI that is not named here has a value for every week."""

_READERS: Final = ("jobs", "kpis", "tables", "columns", "control", "statistics")
"""The modules that make an outcome of facts."""


class Input(NamedTuple):
    """A file that a scenario reads: where it is here, and what has to be in it.

    Attributes
    ----------
    path : the dotted path of the value that names it.
    file : the file, absolute: the processes that run the job have to find it there.
    sha256 : of its bytes, in hex.
    function : of a rule of the user's own, its function in the file; else empty.
    """

    path: str
    file: str
    sha256: str
    function: str = ""


class Job(NamedTuple):
    """One replication to be simulated.

    Attributes
    ----------
    key : what tells it from all other work (`key_of`), 24 hex digits.
    cell : the number of its configuration in the study, from 0.
    replication : its number among those of the cell, from 0.
    seed : the root of its random streams.
    resolved : the scenario, as `sim.scenario.resolved` gives it.
    inputs : the files that the scenario reads.
    """

    key: str
    cell: int
    replication: int
    seed: int
    resolved: dict[str, Any]
    inputs: tuple[Input, ...] = ()


class Outcome(NamedTuple):
    """What a replication came to.

    Attributes
    ----------
    key : that of its job.
    digest : SHA-256 over the facts.
    demand_digest : SHA-256 over what the store was asked for: configurations compare where it is equal.
    facts : the number of facts.
    kpis : as `sim.kpis.compute` gives them: after the warm-up, ready for JSON.
    weeks : by KPI, the value of each whole week of the run from time 0 on, the warm-up included.
    seconds : processor time that it took.
    """

    key: str
    digest: str
    demand_digest: str
    facts: int
    kpis: dict[str, dict[str, Any]]
    weeks: dict[str, list[float | None]]
    seconds: float


class JobError(ValueError):
    """A job that cannot be run here; `lines` says why."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(lines)
        self.lines = lines

    def __str__(self) -> str:
        return "\n".join(self.lines)


def seed_of(root_seed: int, replication: int) -> int:
    """The seed of replication k of a study, in every configuration the same: the root seed plus k.

    So configurations meet the same random events (common random numbers), and replication 0 is the run that
    the root seed alone gives. Raises ValueError for a seed that is not from 0 to 2^63 - 1.
    """
    seed = root_seed + replication
    if replication < 0 or root_seed < 0 or seed >= 2**63:
        expected = f"expected a seed and a replication from 0 and their sum below {2**63:,}"
        raise ValueError(f"{expected}, found {root_seed} and {replication}")
    return seed


def make_jobs(
    cell: int,
    resolved: Mapping[str, Any],
    root_seed: int,
    replications: Iterable[int],
    files: Mapping[str, Path] | None = None,
) -> Iterator[Job]:
    """The jobs of some replications of one configuration.

    Parameters
    ----------
    cell : its number in the study.
    resolved : its scenario, as `sim.scenario.resolved` gives it.
    root_seed : the seed of replication 0.
    replications : their numbers, from 0.
    files : the files that the scenario names, as `sim.scenario.Loaded.files` gives them. The file of a rule
        of the user's own is known from when it was loaded.

    Raises OSError for a file that cannot be read, and ValueError as `seed_of`.
    """
    values = dict(resolved)
    inputs = tuple(_inputs(values, files or {}))
    work = _work(values, inputs)
    for replication in replications:
        seed = seed_of(root_seed, replication)
        yield Job(_key(work, seed), cell, replication, seed, values, inputs)


def key_of(resolved: Mapping[str, Any], seed: int, inputs: Iterable[Input] = ()) -> str:
    """What tells a replication from all others: 24 hex digits of a SHA-256.

    It covers the scenario but for its name, its question and its own seed, the bytes of the files that it
    reads, the seed, the version of the model, and the program text of what makes an outcome of facts.
    """
    return _key(_work(resolved, inputs), seed)


def run_job(job: Job) -> Outcome:
    """Simulate a replication and keep what it came to.

    Raises JobError when its files are not what they were, or when this program would not do the same work as
    the one that made the job; else what the model raises.
    """
    from sim.kpis import RunFacts, compute
    from sim.simulation import run

    before = time.process_time()
    if job.key != key_of(job.resolved, job.seed, job.inputs):
        found = "found one of another version: install the same version of meterhouse on both sides"
        raise JobError([f"{job.key}: expected a job of this version of the program, {found}"])
    result = run(_loaded(job), job.seed)
    whole = RunFacts.of(result)
    # The weeks come last: they share what the KPIs have computed from the facts.
    kpis = compute(whole)
    weeks = _weeks(whole)
    digest, demand_digest = result.digest, result.trace.demand_digest()
    seconds = time.process_time() - before
    return Outcome(job.key, digest, demand_digest, len(result.trace), kpis, weeks, seconds)


# --- weeks -----------------------------------------------------------------------------------------------


def _weeks(whole: "RunFacts") -> dict[str, list[float | None]]:
    from sim.kpis import KPIS

    weeks = [_week(whole, number) for number in range(whole.end_ms // WEEK_MS)]
    return {
        name: [kpi.function(week)["value"] for week in weeks]
        for name, kpi in KPIS.items()
        if name not in NOT_BY_WEEK
    }


def _week(whole: "RunFacts", number: int) -> "RunFacts":
    """A week of a run, from its first instant up to but without the first of the next."""
    from sim.kpis import RunFacts

    class Week(RunFacts):
        def inside(self, times: Any) -> Any:
            return (times >= self.start_ms) & (times < self.end_ms)

    week = Week.__new__(Week)
    vars(week).update(vars(whole), start_ms=number * WEEK_MS, end_ms=(number + 1) * WEEK_MS)
    return week


# --- keys ------------------------------------------------------------------------------------------------


@cache
def _version() -> str:
    """What an outcome depends on beside its job: the model, and the program text of what reads its facts."""
    from sim.trace import MODEL_VERSION

    text = sha256()
    for name in _READERS:
        text.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return f"{MODEL_VERSION} {text.hexdigest()}"


def _work(resolved: Mapping[str, Any], inputs: Iterable[Input]) -> str:
    values = {key: value for key, value in resolved.items() if key not in ("name", "question", "seed")}
    files = [[each.path, each.sha256, each.function] for each in inputs]
    return _canonical([_version(), values, files])


def _key(work: str, seed: int) -> str:
    return sha256(f"{seed} {work}".encode()).hexdigest()[:24]


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


# --- scenarios and their files ---------------------------------------------------------------------------

_RULE_PATH: Final = "policy.allocation"


def _inputs(resolved: Mapping[str, Any], files: Mapping[str, Path]) -> Iterator[Input]:
    from sim.scenario import FILE_KEYS

    for section, key in FILE_KEYS:
        path = f"{section}.{key}"
        if resolved.get(section, {}).get(key) is not None:
            if path not in files:
                raise JobError([f"{path}: expected the file that the scenario reads, found only its name"])
            file = files[path].absolute()
            yield Input(path, str(file), sha256(file.read_bytes()).hexdigest())
    rule = _own_rule(resolved.get("policy", {}).get("allocation", ""))
    if rule is not None:
        yield rule


def _own_rule(name: str) -> Input | None:
    """The file of a rule of the user's own that was loaded under a name; None for any other rule."""
    from sim.allocation import OWN_RULES

    source = getattr(OWN_RULES[name].choose, "source", None) if name in OWN_RULES else None
    if source is None:
        return None
    return Input(_RULE_PATH, str(Path(source.file).absolute()), source.sha256, source.function)


def _loaded(job: Job) -> "Loaded":
    """The scenario of a job, its files in place and its rule loaded."""
    from sim.ownrule import load_rule
    from sim.scenario import Loaded

    values = dict(job.resolved)
    for each in job.inputs:
        _look_at(each)
        section, key = each.path.split(".")
        if each.function:
            load_rule(f"{each.file}:{each.function}", values[section][key])
        else:
            values[section] = {**values[section], key: each.file}
    # Files are absolute: the folder that names are relative to does not matter.
    return Loaded(_scenario(_canonical(values)), {}, Path(), Path())


def _look_at(given: Input) -> None:
    """Raise JobError when a file is not the one that the study began with."""
    try:
        found = sha256(Path(given.file).read_bytes()).hexdigest()
    except OSError as error:
        reason = (error.strerror or "an error").lower()
        raise JobError([f"{given.file}: expected a file that can be read, found: {reason}"]) from None
    if found != given.sha256:
        expected = f"expected the file with SHA-256 {given.sha256}, with which the study began"
        raise JobError([f"{given.file}: {expected}, found {found}"])


@lru_cache(maxsize=64)
def _scenario(text: str) -> "Scenario":
    """A scenario from its canonical JSON; its values are frozen, so that replications share them."""
    from sim.scenario import from_dict

    return from_dict(json.loads(text))
