"""Every asset's whole history, from the facts alone: where it is, and everything that ever happened to it.

What truly happened and what the records said are kept apart: each event tells both, and an event that nobody
knew of then is marked as one of the truth. On the side of the records a history tells only what was known
(`history.OnRecord`). Facts come from a trace in memory, or straight from the Parquet parts of a result
folder, of which only the rows that are asked for are read. In the history of a box stands what was done to
it, not what a robot did on its way; that is in the history of the robot.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol

import numpy as np

from sim.assets import STATE_CODES, STATES, AssetError, asset_number, check_asset, check_digit, meter_of
from sim.facts import (
    ACTIVITIES,
    DIFFERENCES,
    ERRORS,
    FAULTS,
    FOUND_POSTED,
    KINDS,
    LOOKS,
    LOST_POSTED,
    MISSING,
    NONE,
    RETURNS,
    STOPPED,
    SURPLUS,
    TASK_CLASSES,
    VERDICTS,
    WHY_ERROR,
    WHYS,
    WORK,
)
from sim.history import OnRecord
from sim.tables import record_without
from sim.trace import _SO_FAR, FactsError, duckdb_here, read_facts, read_manifest, read_parts
from sim.words import near, printable, show

if TYPE_CHECKING:
    from sim.layout import Layout
    from sim.trace import Trace

ERROR_SENTENCES: Final[dict[str, str]] = {
    "wrong_slot": "a box is set down in another slot than the one that is recorded",
    "lost_message": "the confirmation of a move never reaches the records",
    "short_packed": "a box comes with a meter less than advised",
    "unrecorded_removal": "a meter is taken out of a box and not written down",
    "damage": "a meter is damaged in handling and nobody notices",
    "miscount": "counts overlook a box that is there, and it is written off",
}
"""What each error of `facts.ERRORS` is."""

FAULT_SENTENCES: Final[dict[str, str]] = {
    "breakdown": "a robot breaks down and has to be repaired",
    "minor_stop": "a robot stops until somebody clears what is in its way",
    "power": "the power of the whole store fails",
    "station": "a port or station is blocked, or nobody is there",
    "misshaped_box": "a box is out of shape and has to be handled by a person",
    "stopped": "a command stops a robot until another one sets it to work again",
}
"""What each fault of `facts.FAULTS` is."""

KINDS_OF_SUBJECT: Final = ("meter", "box", "slot", "lot", "robot", "order")
"""What can be tracked."""

Side = Literal["both", "records"]
"""What a history tells: the truth and the records, or the records alone."""

Where = tuple[int, int, int]
"""A place of the layout with tier column and tier, from 0; NONE where they do not apply."""

_ASSET_DIGITS: Final = 22
_SLOT: Final = re.compile(r"\d+-\d+-\d+", re.ASCII)


class TrackError(ValueError):
    """Something that cannot be tracked; `lines` has one line for each mistake."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


class Subject(NamedTuple):
    """What is tracked: one of KINDS_OF_SUBJECT, and its number in the facts (meter k of box b: b * n + k)."""

    kind: str
    number: int


class Event(NamedTuple):
    """One thing that happened. Columns and tiers count from 0, NONE (-1) stands where a field does not apply.

    `side` is "both" when truth and records changed alike or the thing was seen, "truth" when nobody knew of
    it then, "records" when only the records changed. `place` is where the box truly was afterwards,
    `recorded_place` where the records had it; empty where an event is not about one place.
    """

    seq: int
    time_ms: int
    word: str
    text: str
    fact: str
    side: str = "both"
    place: str = ""
    column: int = NONE
    tier: int = NONE
    recorded_place: str = ""
    recorded_column: int = NONE
    recorded_tier: int = NONE
    box: int = NONE
    by: str = ""
    robot: int = NONE
    person: int = NONE
    order: int = NONE
    task: int = NONE


class Story(NamedTuple):
    """A subject with its name, a sentence that says where it is, the same as values, and its events.

    On the side of the records `where` has what is recorded and nothing beside it.
    """

    subject: Subject
    name: str
    sentence: str
    where: dict[str, Any]
    events: list[Event]
    earlier: int = 0
    """How many events before these were left out, because only the last ones were asked for."""


class Traced(Protocol):
    """What has a trace, a layout and names: a `Result`, or a `Simulation` that is under way."""

    @property
    def trace(self) -> "Trace":
        """The facts."""

    @property
    def layout(self) -> "Layout":
        """The places."""


# --- where facts come from -------------------------------------------------------------------------------


@dataclass(slots=True)
class Fact:
    """A fact with its place among all facts and its fields by name; NONE for a field that it has not."""

    seq: int
    time_ms: int
    kind: str
    fields: dict[str, int]

    def __getitem__(self, name: str) -> int:
        return self.fields.get(name, NONE)


class Match(NamedTuple):
    """Facts with one of some values in a field; of these kinds only, when kinds are given."""

    field: str
    values: Collection[int]
    kinds: tuple[str, ...] = ()

    def kinds_in(self, known: Mapping[str, Any]) -> list[str]:
        """The kinds among those known that can match."""
        kinds = [name for name in self.kinds or known if name in known and name in KINDS]
        return [name for name in kinds if self.field in KINDS[name].fields]


class Page(NamedTuple):
    """A part of a history: so many events behind a fact, or before it with the newest first."""

    limit: int
    after: int | None = None
    newest: bool = False

    def is_on(self, seq: int) -> bool:
        """Whether a fact lies behind the one after which the page begins, in its direction."""
        return self.after is None or (seq < self.after if self.newest else seq > self.after)


class _TraceFacts:
    """The facts of a trace in memory."""

    def __init__(self, trace: "Trace") -> None:
        self.trace = trace
        self.digest = ""

    def select(self, matches: Sequence[Match], page: Page | None = None) -> list[Fact]:
        """Every fact that one of the matches names, in the order of recording.

        With a page, only so many of each kind as may be on it, one more, and those of the same number.
        """
        wanted: dict[str, list[Match]] = {}
        for match in matches:
            for kind in match.kinds_in(KINDS) if match.values else ():
                wanted.setdefault(kind, []).append(match)
        found = []
        for kind, asked in wanted.items():
            table = self.trace.table(kind)
            if page is not None and page.after is not None:
                at = int(np.searchsorted(table["seq"], page.after, side="left" if page.newest else "right"))
                part = slice(at) if page.newest else slice(at, None)
                table = {name: column[part] for name, column in table.items()}
            hits = np.zeros(table["seq"].size, dtype=bool)
            for match in asked:
                hits |= np.isin(table[match.field], sorted(match.values))
            hit = np.flatnonzero(hits)
            if page is not None:
                hit = hit[-page.limit - 1 :] if page.newest else hit[: page.limit + 1]
            rows = zip(*(column[hit].tolist() for column in table.values()), strict=True)
            names = KINDS[kind].fields
            found += [Fact(seq, at, kind, dict(zip(names, values, strict=True))) for seq, at, *values in rows]
        return sorted(found, key=lambda fact: fact.seq)

    def greatest(self, kind: str, name: str) -> int:
        """The greatest value of a field, NONE when there is no such fact."""
        return int(self.trace.table(kind)[name].max(initial=NONE))

    @property
    def last_ms(self) -> int:
        """The time of the last fact."""
        return self.trace.last_ms

    def on_record(self) -> "_TraceFacts":
        """The facts as the records have them."""
        return _TraceFacts(OnRecord(self.trace))


class _FolderFacts:
    """The facts of a folder that `trace.write_facts` left, read where they lie.

    A part is held to its rows and their numbers as its footer gives them; what stands in it only a digest can
    tell. Raises FactsError for a folder without a manifest, and for a part that is missing or torn.
    """

    def __init__(self, folder: Path, *, partial: bool = False) -> None:
        self._folder = folder
        self.manifest = read_manifest(folder, _SO_FAR) if partial else read_manifest(folder)
        self.digest = str(self.manifest.get("digest", ""))
        self._connection = duckdb_here()
        self._files = [str(folder / part["file"]) for part in self.manifest["parts"]]
        self._kinds: dict[str, list[str]] = self.manifest["kinds"]
        self._fields = sorted({name for fields in self._kinds.values() for name in fields})
        first = 0
        for part, file in zip(self.manifest["parts"], self._files, strict=True):
            self._check_part(file, first, part["rows"])
            first += part["rows"]
        if first != self.manifest["rows"]:
            raise FactsError(f"{folder}: facts: expected {self.manifest['rows']} rows, found {first}")

    def _check_part(self, file: str, first: int, rows: int) -> None:
        expected = f"{file}: expected rows {first} to {first + rows - 1}"
        if not Path(file).is_file():
            raise FactsError(f"{expected}, found no file")
        with self._torn_is_told():
            query = "SELECT num_rows FROM parquet_file_metadata(?)"
            [(found,)] = self._connection.execute(query, [file]).fetchall()
            numbers = "min(stats_min_value::BIGINT), max(stats_max_value::BIGINT)"
            query = f"SELECT {numbers} FROM parquet_metadata(?) WHERE path_in_schema = 'seq'"  # noqa: S608
            [ends] = self._connection.execute(query, [file]).fetchall()
        if found != rows or ends != (first, first + rows - 1):
            raise FactsError(f"{expected}, found {found} rows, {ends[0]} to {ends[1]}: it was altered")

    def _torn_is_told(self) -> "_Telling":
        return _Telling()

    def select(self, matches: Sequence[Match], _page: Page | None = None) -> list[Fact]:
        """Every fact that one of the matches names, in the order of recording."""
        clauses = []
        for match in matches:
            kinds = match.kinds_in(self._kinds)
            if kinds and match.values:
                values = ", ".join(str(int(value)) for value in sorted(match.values))
                clause = f'"{match.field}" IN ({values})'
                if match.kinds:
                    names = ", ".join(f"'{kind}'" for kind in kinds)
                    clause = f"(kind IN ({names}) AND {clause})"
                clauses.append(clause)
        if not clauses or not self._files:
            return []
        columns = ", ".join(f'"{name}"' for name in self._fields)
        where = " OR ".join(clauses)
        query = f"SELECT seq, time_ms, kind, {columns} FROM read_parquet(?) WHERE {where} ORDER BY seq"  # noqa: S608
        with self._torn_is_told():
            rows = self._connection.execute(query, [self._files]).fetchall()
        at = {name: 3 + i for i, name in enumerate(self._fields)}
        places = {kind: [(name, at[name]) for name in fields] for kind, fields in self._kinds.items()}
        return [
            Fact(row[0], row[1], row[2], {name: row[i] for name, i in places[row[2]]})
            for row in rows
            if row[2] in places
        ]

    def greatest(self, kind: str, name: str) -> int:
        """The greatest value of a field, NONE when there is no such fact."""
        return self._one(f"max(\"{name}\") FILTER (kind = '{kind}')")

    @property
    def last_ms(self) -> int:
        """The time of the last fact."""
        return max(0, self._one("max(time_ms)"))

    def on_record(self) -> "_TraceFacts":
        """The facts as the records have them: what they do not have shows only when all have been read."""
        return _TraceFacts(OnRecord(read_parts(self._folder)[0]))

    def _one(self, value: str) -> int:
        if not self._files:
            return NONE
        with self._torn_is_told():
            [(found,)] = self._connection.execute(
                f"SELECT {value} FROM read_parquet(?)", [self._files]  # noqa: S608
            ).fetchall()  # fmt: skip
        return NONE if found is None else int(found)


class _Telling:
    """Turns what DuckDB says of a file that it cannot read into the words of a torn file."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _where: object) -> None:
        import duckdb

        if isinstance(error, duckdb.Error):
            reason = str(error).splitlines()[0]
            raise FactsError(
                f"facts: expected whole parts, found a torn or altered file: {reason}"
            ) from error


# --- the run that is asked -------------------------------------------------------------------------------


class Run:
    """The facts of a run and the words for their numbers.

    `names` is what `Simulation.names` gives and what stands beside the facts in files; a trace without names
    shows numbers, and needs the `places` of its layout.
    """

    def __init__(
        self,
        facts: "_TraceFacts | _FolderFacts",
        names: Mapping[str, Any],
        places: Sequence[str],
        meters_per_box: int,
        end_ms: int | None = None,
    ) -> None:
        self.facts = facts
        self.side: Side = "both"
        self.is_whole = True
        self.names = names
        self.places = list(places)
        self.meters_per_box = meters_per_box
        self.end_ms = facts.last_ms if end_ms is None else end_ms
        self.slots = next((i for i, name in enumerate(places) if not _SLOT.fullmatch(name)), len(places))
        self.truck, self.handed_over, self.outside = (
            self.places.index(area) for area in ("truck", "handed-over", "outside")
        )
        self.first_carrier = self.outside + 1
        self.robots = sum(name.startswith("robot-") for name in self.places[self.first_carrier :])
        start = names.get("start")
        self._start = datetime.combine(date.fromisoformat(start), time()) if start else None
        self.boxes: Mapping[str, str] = names.get("boxes", {})
        self._taken = set(self.boxes.values())
        self._on_record: Run | None = None

    @classmethod
    def of(cls, run: "Run | Traced") -> "Run":
        """A run with its trace in memory: a `Result`, or a `Simulation` that is under way."""
        if isinstance(run, Run):
            return run
        names = getattr(run, "names", {})
        names = names() if callable(names) else names
        end_ms = getattr(run, "end_ms", None)
        end_ms = getattr(run, "now_ms", end_ms)
        made = cls(_TraceFacts(run.trace), names, run.layout.names, run.trace.meters_per_box, end_ms)
        made.side = "records" if isinstance(run.trace, OnRecord) else "both"
        return made

    def on_record(self) -> "Run":
        """The run as the records have it; of one that goes on, as it is when this is asked for first."""
        if self.side == "records":
            return self
        if self._on_record is None:
            twin = copy(self)
            twin.facts, twin.side = self.facts.on_record(), "records"
            self._on_record = twin
        return self._on_record

    # -- words for numbers

    def place(self, place: int) -> str:
        """The name of a place."""
        return self.places[place] if 0 <= place < len(self.places) else f"place {place}"

    def position(self, where: Where) -> str:
        """A place with the tier column and the tier in it, counted from 1 as on stock lists: 2-07-3 1.4."""
        place, column, tier = where
        return f"{self.place(place)} {column + 1}.{tier + 1}" if column != NONE else self.place(place)

    def carrier(self, robot: int) -> str:
        """The name of a robot, or of a person who carries boxes by hand."""
        place = self.first_carrier + robot
        return self.places[place] if place < len(self.places) else f"person-{robot - self.robots + 1}"

    def box(self, box: int) -> str:
        """The name of a box: that of the stock list it came from, else its number, as in an exported list."""
        name = self.boxes.get(str(box))
        if name is None:
            name = str(box)
            while name in self._taken:
                name += "-new"
        return name

    def full(self, sku: int) -> int:
        """The meters in a full box of a SKU."""
        full: Sequence[int] = self.names.get("full_boxes", ())
        return full[sku] if 0 <= sku < len(full) else self.meters_per_box

    def lot(self, lot: int) -> str:
        """The name of a lot: that of the stock list it came from, else its number."""
        return str(self.names.get("lots", {}).get(str(lot), lot))

    def meter(self, meter: int) -> str:
        """The asset number of a meter: that of the stock list it came from, else the model's own."""
        box, k = divmod(meter, self.meters_per_box)
        listed = self.names.get("assets", {}).get(str(box), ())
        return str(listed[k]) if k < len(listed) else asset_number(meter)

    def named(self, key: str, number: int, word: str) -> str:
        """The name that a list of names has for a number, else a word with the number."""
        listed = self.names.get(key, ())
        return str(listed[number]) if 0 <= number < len(listed) else f"{word} {number}"

    def when(self, time_ms: int, beside_ms: int | None = None) -> str:
        """A time in words; without the day when it is that of `beside_ms`."""
        day, clock = self.day_and_clock(time_ms)
        return (
            clock if beside_ms is not None and self.day_and_clock(beside_ms)[0] == day else f"{day} {clock}"
        )

    def moment(self, time_ms: int) -> str:
        """A time in a sentence."""
        return "on {} at {}".format(*self.day_and_clock(time_ms))

    def day_and_clock(self, time_ms: int) -> tuple[str, str]:
        """The day and the time of day, to the second."""
        if self._start is None:
            day, rest = divmod(time_ms // 1000, 86_400)
            return f"day {day}", f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
        try:
            moment = self._start + timedelta(milliseconds=time_ms)
        except OverflowError:
            return f"{time_ms / 1000:.0f} s", "after the start"
        return f"{moment:%Y-%m-%d}", f"{moment:%H:%M:%S}"

    def name_of(self, subject: Subject) -> str:
        """What people call a subject."""
        kind, number = subject
        naming = {
            "meter": self.meter,
            "box": self.box,
            "lot": self.lot,
            "slot": self.place,
            "robot": self.carrier,
        }
        return naming[kind](number) if kind in naming else str(number)


def open_run(folder: Path | str, *, verify: bool = False, partial: bool = False) -> Run:
    """The run of a result folder, its facts left where they lie; `verify` reads them all against the digest.

    Without it the manifest has to be there, fit the result, and each part has to have the rows that it
    names. `partial` also takes what an interrupted run has left, or one under way has written, here or beside
    the folder: `is_whole` of the run is False then. Raises TrackError for a folder that is no result,
    FactsError for facts that are torn or altered.
    """
    folder = Path(folder)
    shown = printable(str(folder))
    path = folder / "result.json"
    left = folder if folder.is_dir() else folder.parent / f".{folder.name}.unfinished"
    if partial and not path.exists() and (left / "facts").is_dir():
        return _open_parts(left, verify=verify)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "none"
        raise TrackError([f"{shown}: expected a result folder, found {found}{_what_is_left(left)}"])
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        digest, end_ms = str(document["digest"]), round(document["simulated_s"] * 1000)
    except FileNotFoundError:
        found = f"no {path.name} in it{_what_is_left(folder)}"
        raise TrackError([f"{shown}: expected a result folder, found {found}"]) from None
    except (ValueError, LookupError, TypeError):
        raise TrackError(
            [f"{shown}/{path.name}: expected the result of one run, found something else"]
        ) from None
    facts = _FolderFacts(folder / "facts")
    if facts.digest != digest:
        raise FactsError(f"{shown}: expected facts with digest {digest}, found {facts.digest}")
    if verify:
        read_facts(folder / "facts")
    return _with_names(facts, folder, end_ms)


def _open_parts(left: Path, *, verify: bool) -> Run:
    """The run of the parts that are finished; of all facts when only the rest of the result is not there."""
    shown, is_whole = printable(str(left)), (left / "facts" / "manifest.json").exists()
    if verify and not is_whole:
        raise TrackError([f"{shown}: expected a whole run with --verify, found parts, which have no digest"])
    if not is_whole and not (left / "facts" / _SO_FAR).exists():
        raise TrackError([f"{shown}: expected parts of facts, found none finished"])
    facts = _FolderFacts(left / "facts", partial=not is_whole)
    if verify:
        read_facts(left / "facts")
    run = _with_names(facts, left, facts.last_ms)
    run.is_whole = is_whole
    return run


def _with_names(facts: "_FolderFacts", folder: Path, end_ms: int) -> Run:
    names, meters = facts.manifest["names"], facts.manifest["meters_per_box"]
    try:
        return Run(facts, names, names["places"], meters, end_ms)
    except (LookupError, TypeError, ValueError):
        expected = f"{printable(str(folder))}/facts/manifest.json: names: expected the names of places"
        raise FactsError(f"{expected}, found none that fit: it was altered") from None


def _what_is_left(left: Path) -> str:
    """What an interrupted run has left in a folder, in words; nothing when there is none."""
    facts = left / "facts"
    if not facts.is_dir():
        return ""
    if not any((facts / name).exists() for name in (_SO_FAR, "manifest.json")):
        return ": writing it was interrupted before a part of the facts was finished"
    shown = printable(str(left))
    return f": writing it was interrupted, --partial tells what the facts in {shown} say"


# --- which asset is meant --------------------------------------------------------------------------------


def subject_of(run: Run | Traced, text: str) -> Subject:
    """What a text names: an asset number, `box:123`, `slot:2-07-3`, `lot:4`, `robot:0`, `order:17`, a name.

    A bare name is an asset or a box of the stock list that the run began with, or a slot. Raises TrackError
    for what the run does not have, with the nearest that it has.
    """
    run = Run.of(run)
    kind, colon, name = text.partition(":")
    if not colon:
        return _bare(run, text.strip())
    kind, name = kind.strip().lower(), name.strip()
    if kind not in _FINDING:
        wanted = ", ".join(f"{each}:..." for each in _FINDING)
        raise TrackError([f"asset: expected {wanted}, found {show(text)}{near(kind, _FINDING)}"])
    return _FINDING[kind](run, name)


def _bare(run: Run, text: str) -> Subject:
    for find in (_listed_meter, _listed_box):
        found = find(run, text)
        if found is not None:
            return found
    if text.isascii() and text.isdigit():
        return _find_meter(run, text)
    if _SLOT.fullmatch(text):
        return _find_slot(run, text)
    known = [*run.boxes.values()]
    expected = "an asset number of 22 digits, a name of the stock list, or box:, slot:, lot:, robot:, order:"
    raise TrackError([f"asset: expected {expected}, found {show(text)}{near(text, known)}"])


def _listed_meter(run: Run, text: str) -> Subject | None:
    for box, assets in run.names.get("assets", {}).items():
        if text in assets:
            return Subject("meter", int(box) * run.meters_per_box + assets.index(text))
    return None


def _listed_box(run: Run, text: str) -> Subject | None:
    return next((Subject("box", int(box)) for box, name in run.boxes.items() if name == text), None)


def _find_meter(run: Run, text: str) -> Subject:
    """The meter of an asset number, that of a stock list or the model's own."""
    found = _listed_meter(run, text)
    if found is not None:
        return found
    try:
        meter = meter_of(text)
    except AssetError as error:
        raise TrackError([f"asset: {error}{_meant(run, text)}"]) from None
    box, k = divmod(meter, run.meters_per_box)
    created = run.facts.select([Match("box", [box], ("box_created",))])
    last = run.facts.greatest("box_created", "box")
    if not created:
        nearest = "" if last == NONE else f", the last is {run.meter((last + 1) * run.meters_per_box - 1)}"
        raise TrackError([f"asset: expected a meter of this run, found {show(text)}{nearest}"])
    if k >= created[0]["meters"]:
        came, end = created[0]["meters"], run.meter(box * run.meters_per_box + created[0]["meters"] - 1)
        found_words = f"found {show(text)}: box {run.box(box)} came with {came}, the last is {end}"
        raise TrackError([f"asset: expected a meter of this run, {found_words}"])
    return Subject("meter", meter)


def _meant(run: Run, text: str) -> str:
    """The asset that a wrong number comes nearest to: one digit wrong, or two changed about."""
    if len(text) == _ASSET_DIGITS and text.isascii() and text.isdigit():
        listed = [asset for assets in run.names.get("assets", {}).values() for asset in assets]
        close = min(listed, key=lambda asset: _distance(asset, text), default="")
        if close and _distance(close, text) <= 2:
            return f", did you mean '{close}'?"
        try:
            check_asset(text)
        except AssetError:
            return f", did you mean '{text[:-1]}{check_digit(text[:-1])}'?"
    return ""


def _distance(one: str, other: str) -> int:
    if len(one) != len(other):
        return 99
    return sum(a != b for a, b in zip(one, other, strict=True))


def _find_box(run: Run, text: str) -> Subject:
    found = _listed_box(run, text)
    if found is not None:
        return found
    number = _number(text.removesuffix("-new"))
    if number == NONE or not run.facts.select([Match("box", [number], ("box_created",))]):
        last = run.facts.greatest("box_created", "box")
        wanted = f"a box from 0 to {last}" if last != NONE else "a box, of which this run has none"
        hint = near(text, run.boxes.values())
        raise TrackError([f"box: expected {wanted}, found {show(text)}{hint}"])
    return Subject("box", number)


def _find_slot(run: Run, text: str) -> Subject:
    slots = run.places[: run.slots]
    if text in slots:
        return Subject("slot", slots.index(text))
    plain = {re.sub(r"\b0+(?=\d)", "", name): name for name in slots}
    meant = plain.get(re.sub(r"\b0+(?=\d)", "", text))
    hint = f", did you mean '{meant}'?" if meant else near(text, slots)
    raise TrackError([f"slot: expected a slot of this store, found {show(text)}{hint}"])


def _find_lot(run: Run, text: str) -> Subject:
    lots = run.names.get("lots", {})
    number = next((int(lot) for lot, name in lots.items() if name == text), _number(text))
    if number == NONE or not run.facts.select([Match("lot", [number], ("lot_created",))]):
        last = run.facts.greatest("lot_created", "lot")
        wanted = f"a lot from 0 to {last}" if last != NONE else "a lot, of which this run has none"
        raise TrackError([f"lot: expected {wanted}, found {show(text)}{near(text, lots.values())}"])
    return Subject("lot", number)


def _find_robot(run: Run, text: str) -> Subject:
    carriers = run.places[run.first_carrier :]
    number = carriers.index(text) if text in carriers else _number(text)
    if not 0 <= number < len(carriers):
        wanted = (
            f"a robot from 0 to {run.robots - 1}" if run.robots else "a robot, of which this run has none"
        )
        raise TrackError([f"robot: expected {wanted}, found {show(text)}{near(text, carriers)}"])
    return Subject("robot", number)


def _find_order(run: Run, text: str) -> Subject:
    number = _number(text)
    if number == NONE or not run.facts.select([Match("order", [number], ("order_released",))]):
        last = run.facts.greatest("order_released", "order")
        wanted = f"an order from 0 to {last}" if last != NONE else "an order, of which this run has none"
        raise TrackError([f"order: expected {wanted}, found {show(text)}"])
    return Subject("order", number)


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else NONE


_FINDING: Final[dict[str, Callable[[Run, str], Subject]]] = {
    "meter": _find_meter,
    "box": _find_box,
    "slot": _find_slot,
    "lot": _find_lot,
    "robot": _find_robot,
    "order": _find_order,
}


# --- the life of a box -----------------------------------------------------------------------------------

_IN_TRANSIT: Final = STATE_CODES["in_transit"]
_QUALIFIED: Final = STATE_CODES["qualified_in_stock"]
_RESERVED: Final = STATE_CODES["reserved"]
_ISSUED: Final = STATE_CODES["issued_pending_install"]
_OVERDUE: Final = STATE_CODES["overdue_pending_reverify"]
_REMOVED: Final = STATE_CODES["removed_pending_return"]


@dataclass(slots=True)
class Life:
    """A box at one point in the order of facts: what is true of it, and what the records say.

    `fates` has, for each meter that is no longer in the box, the fact by which it left.
    """

    box: int
    sku: int = NONE
    lot: int = NONE
    verified_day: int = NONE
    truck: int = NONE
    came: int = 0
    true: Where = (NONE, NONE, NONE)
    recorded: Where = (NONE, NONE, NONE)
    mask: int = 0
    recorded_mask: int = 0
    damaged: int = 0
    state: int = NONE
    created_ms: int | None = None
    left: Fact | None = None
    reserved: dict[int, int] = field(default_factory=dict)
    loose: dict[int, int] = field(default_factory=dict)
    fates: dict[int, Fact] = field(default_factory=dict)
    before: tuple[int, int] = (0, 0)

    def copied(self) -> "Life":
        """The life as it is now, whatever comes later."""
        twin = copy(self)
        twin.reserved, twin.loose, twin.fates = dict(self.reserved), dict(self.loose), dict(self.fates)
        return twin

    def apply(self, fact: Fact, run: Run) -> None:
        """Go on past one more fact of the box."""
        change = _CHANGES.get(fact.kind)
        if change is not None:
            change(self, fact, run)
        if run.side == "records":  # what is recorded is all that anybody knows
            for k in _bits(self.mask & ~self.recorded_mask):
                self.fates.setdefault(k, fact)
            for k in _bits(self.recorded_mask & ~self.mask):
                self.fates.pop(k, None)
            self.true, self.mask, self.damaged = self.recorded, self.recorded_mask, 0

    def take_out(self, mask: int, fact: Fact) -> None:
        """Take meters out of the box in truth."""
        for k in _bits(mask & self.mask):
            self.fates[k] = fact
        self.mask &= ~mask
        self.damaged &= self.mask

    def unreserve(self, order: int, meters: int) -> None:
        """Take meters off a reservation."""
        left = self.reserved.get(order, 0) - meters
        if left > 0:
            self.reserved[order] = left
        else:
            self.reserved.pop(order, None)


def _created(life: Life, fact: Fact, run: Run) -> None:
    life.sku, life.lot, life.verified_day = fact["sku"], fact["lot"], fact["verified_day"]
    life.truck, life.created_ms = fact["truck"], fact.time_ms
    life.true = life.recorded = (fact["place"], NONE, NONE)
    life.came = max(0, fact["meters"])
    life.mask = life.recorded_mask = (1 << life.came) - 1
    life.state = _IN_TRANSIT if fact["place"] == run.truck else _QUALIFIED


def _moved(life: Life, fact: Fact, _run: Run) -> None:
    life.true = (fact["to_place"], fact["column"], fact["tier"])
    if fact["recorded"] != NONE:
        is_told = fact["recorded"] == fact["to_place"]
        life.recorded = life.true if is_told else (fact["recorded"], NONE, NONE)


def _recorded(life: Life, fact: Fact, _run: Run) -> None:
    life.recorded = (fact["place"], fact["column"], fact["tier"])


def _meters_recorded(life: Life, fact: Fact, _run: Run) -> None:
    life.recorded_mask = max(0, fact["mask"])


def _error(life: Life, fact: Fact, _run: Run) -> None:
    if _name(ERRORS, fact["cause"]) in ("short_packed", "unrecorded_removal"):
        life.take_out(max(0, fact["mask"]), fact)


def _damaged(life: Life, fact: Fact, _run: Run) -> None:
    life.damaged |= max(0, fact["mask"]) & life.mask


def _scrapped(life: Life, fact: Fact, _run: Run) -> None:
    life.take_out(max(0, fact["mask"]), fact)
    life.recorded_mask &= ~max(0, fact["mask"])


def _picked(life: Life, fact: Fact, _run: Run) -> None:
    mask = max(0, fact["mask"])
    life.recorded_mask = record_without(life.recorded_mask, mask & life.mask)
    life.take_out(mask, fact)
    life.loose[fact["order"]] = life.loose.get(fact["order"], 0) | mask
    life.unreserve(fact["order"], mask.bit_count())


def _issued(life: Life, fact: Fact, _run: Run) -> None:
    mask = max(0, fact["mask"])
    picked = life.loose.get(fact["order"], 0) & mask
    life.loose[fact["order"]] = life.loose.get(fact["order"], 0) & ~mask
    for k in _bits(picked):
        life.fates[k] = fact
    out = mask & life.mask
    if out and out == life.mask:
        life.before = (life.mask, life.recorded_mask)
        life.state = _ISSUED
        life.left = fact
    life.recorded_mask = record_without(life.recorded_mask, out)
    life.take_out(out, fact)
    life.unreserve(fact["order"], out.bit_count())


def _emptied(life: Life, fact: Fact, _run: Run) -> None:
    life.left = fact


def _received(life: Life, _fact: Fact, _run: Run) -> None:
    life.state = _QUALIFIED


def _reserved(life: Life, fact: Fact, run: Run) -> None:
    life.reserved[fact["order"]] = life.reserved.get(fact["order"], 0) + fact["meters"]
    if fact["meters"] == run.full(life.sku) and life.state == _QUALIFIED:
        life.state = _RESERVED


def _freed(life: Life, fact: Fact, _run: Run) -> None:
    life.unreserve(fact["order"], fact["meters"])
    if life.state == _RESERVED:
        life.state = _QUALIFIED


def _expired(life: Life, _fact: Fact, _run: Run) -> None:
    life.state = _OVERDUE


def _state_set(life: Life, fact: Fact, _run: Run) -> None:
    life.state = fact["state"]


def _came_back(life: Life, _fact: Fact, _run: Run) -> None:
    life.mask, life.recorded_mask = life.before
    life.fates = {k: fate for k, fate in life.fates.items() if not life.mask >> k & 1}
    life.left = None
    life.reserved.clear()


def _verified(life: Life, fact: Fact, _run: Run) -> None:
    life.verified_day = fact["day"]


def _left(life: Life, fact: Fact, _run: Run) -> None:
    life.before = (life.mask, life.recorded_mask)
    life.take_out(life.mask, fact)
    life.recorded_mask = 0
    life.left = fact


_CHANGES: Final[dict[str, Callable[[Life, Fact, Run], None]]] = {
    "box_created": _created,
    "box_moved": _moved,
    "box_recorded": _recorded,
    "meters_recorded": _meters_recorded,
    "error_made": _error,
    "meters_damaged": _damaged,
    "meters_scrapped": _scrapped,
    "meters_picked": _picked,
    "meters_issued": _issued,
    "box_emptied": _emptied,
    "box_received": _received,
    "box_reserved": _reserved,
    "box_freed": _freed,
    "box_expired": _expired,
    "box_state": _state_set,
    "box_came_back": _came_back,
    "box_verified": _verified,
    "box_left": _left,
}


def _bits(mask: int) -> Iterator[int]:
    return (k for k in range(mask.bit_length()) if mask >> k & 1)


def _name(names: Sequence[str], number: int) -> str:
    return names[number] if 0 <= number < len(names) else f"number {number}"


# --- words for facts -------------------------------------------------------------------------------------

_SPEC: Final = """
lot_created         announced     lot {lot} of {sku}[, maker {maker}], verified from {verified_day} on
box_received        received      receiving scan done[, truck {truck}]
slot_allocated      allocated     a place in {slot} is kept for it[, task {task}]
allocation_failed   no place      no slot can be named: {reason}
allocation_released given back    the place kept in {slot} is not needed
order_released      released      for {station}, due {due}
order_line          ordered       line {line}: {meters} of {sku}
line_short          short         line {line}: {meters} wait for stock
box_reserved        reserved      {meters} for order {order}
box_freed           freed         {meters} of order {order} are free again
meters_picked       picked        {mask} for order {order}
meters_issued       issued        {mask} handed over for order {order}
box_emptied         emptied       no meter is left in it
order_handed_over   handed over   {meters}, {late}
box_expired         expired       verified on {verified}, too old to be issued
task_created        task          {task_class} {task}[ from {from_place}][ to {to_place}][, order {order}]
task_assigned       assigned      task {task}, tour {tour}
task_done           done          task {task}
task_returned       given back    task {task} waits again
task_cancelled      called off    task {task}
tour_started        tour          tour {tour} begins: {put_aways} in, {retrievals} out
tour_ended          tour          tour {tour} is over
box_dug             dug           out of the way[ of {other}][, task {task}]
battery             battery       {permille}
staging_overflow    overflow      staging is full: on to the flat store
count_planned       planned       count {count}: {slots} slots
count_ended         count ended   count {count}: {slots} slots, {boxes} boxes, {differences} differences
meters_damaged      damaged       {mask}; nobody has noticed
meters_scrapped     scrapped      {mask} taken out
tag_replaced        tag replaced  the tag of {meter} could not be read
fault_began         fault         {fault}[, until {until}]
fault_ended         repaired      {fault} is over
box_verified        re-verified   verified again on {day}
empties             empties       {boxes} empty boxes here
order_short         short         {meters} promised and not there[, order {order}]
lot_recalled        recalled      lot {lot}: {boxes} of its boxes are on record
"""


def _parsed() -> dict[str, tuple[str, str]]:
    lines = [re.split(r"  +", line, maxsplit=2) for line in _SPEC.strip().splitlines()]
    told = {}
    for line in lines:
        if len(line) < 3:  # the longest kind stands one blank before its word
            kind, rest = line[0].split(" ", 1)
            line = [kind, rest, *line[1:]]
        told[line[0]] = (line[1], line[2])
    return told


_TOLD: Final = _parsed()

_WHY_WORDS: Final = {
    "error": "by mistake", "pick": "seen at a pick", "place": "seen when setting down",
    "count": "seen in a count",
    "opening": "seen in the open box", "check": "seen at the check", "gate": "seen at the receiving gate",
    "resent": "the message was sent again",
}  # fmt: skip
_LOOK_WORDS: Final = {
    "gate": "found at the receiving gate", "pick": "found at a pick", "place": "found when setting down",
    "count": "found by a count", "opening": "found in the open box", "check": "found at the check",
    "left": "the box left before anybody knew", "resent": "found when the message was sent again",
}  # fmt: skip
_DIFFERENCE_WORDS: Final = {
    "missing": "not seen", "surplus": "seen, recorded elsewhere", "meters": "other meters than recorded",
}  # fmt: skip
_VERDICT_WORDS: Final = {
    "noted": "to be looked at again", "confirmed": "confirmed", "refuted": "not so after all",
    "lost": "written off", "found": "posted as found",
}  # fmt: skip
_WORK_WORDS: Final = {
    "receive": "unloading", "pick": "picking", "check": "checking", "carry": "carrying", "count": "counting",
    "inspect": "opening", "repair": "repairing", "sort": "sorting",
}  # fmt: skip
_RETURN_WORDS: Final = {
    "unused": "unused", "removed": "meters removed from customers", "reverified": "from verification",
    "transferred": "from another store", "scrapped": "to be scrapped", "recalled": "recalled",
}  # fmt: skip
_LEAVING_WORDS: Final = {
    "unused": ("sent out", "returned unused"), "removed": ("sent out", "meters removed from customers"),
    "reverified": ("sent out", "to be verified again"), "transferred": ("sent out", "to another store"),
    "scrapped": ("sent out", "to be scrapped"), "recalled": ("sent out", "recalled, back to the maker"),
}  # fmt: skip
_STATE_WORDS: Final = {
    "quarantined": "held", "lost": "lost", "surplus_found": "found", "scrapped": "scrapped",
}  # fmt: skip
_DOING: Final = {
    "idle": "has been idle at", "work": "has worked at", "dig": "has dug at",
    "wait_tour": "has waited for more boxes at", "wait_aisle": "has waited for the aisle at",
    "wait_port": "has waited for the port at", "wait_conflict": "has waited for another robot at",
    "go_charge": "has gone to charge at", "charge": "has charged at",
    "wait_charger": "has waited to charge at", "park": "has gone to park at",
    "fault": "has been out of order at",
}  # fmt: skip
_REASONS: Final = ("the store is full", "none of its class")
_AT: Final = {
    "truck": "on a truck", "staging": "in staging", "overflow": "in the flat store",
    "pick-station": "at the pick station", "loose-rack": "in the loose rack", "outside": "outside",
}  # fmt: skip
_ON_TRUTH: Final = frozenset({"error_made", "meters_damaged"})
_ON_RECORDS: Final = frozenset({"box_recorded", "meters_recorded", "box_state", "box_expired"})


@dataclass(slots=True)
class _Around:
    """What the words for a fact need of others: tasks and errors by number, differences of counts."""

    tasks: dict[int, Fact] = field(default_factory=dict)
    errors: dict[int, Fact] = field(default_factory=dict)
    differences: dict[tuple[int, int, int, int], Fact] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: Iterable[Fact]) -> "_Around":
        """Tasks, errors and differences among some facts."""
        around = cls()
        for fact in facts:
            if fact.kind == "task_created":
                around.tasks[fact["task"]] = fact
            elif fact.kind == "error_made":
                around.errors[fact["error"]] = fact
            elif fact.kind == "count_difference" and fact["slot"] != NONE:
                key = (fact["count"], fact["slot"], fact["box"], fact.time_ms)
                around.differences.setdefault(key, fact)
        return around


class _Teller:
    """Puts facts into words."""

    def __init__(self, run: Run, around: _Around) -> None:
        self.run = run
        self.around = around

    def event(self, fact: Fact, before: Life | None = None, after: Life | None = None) -> Event:
        """The event of a fact; with the life of its box, where that truly was and where it was recorded."""
        special = _SPECIAL.get(fact.kind)
        if special is not None:
            word, text = special(self, fact, before, after)
        elif fact.kind in _TOLD:
            word, template = _TOLD[fact.kind]
            text = self.filled(template, fact, after)
        else:  # a kind that no history is about
            told = (f"{name} {value}" for name, value in fact.fields.items() if value != NONE)
            word, text = fact.kind.replace("_", " "), ", ".join(told)
        if after is not None and before is not None and fact.kind != "box_recorded":
            has_changed = (after.true, after.recorded) != (before.true, before.recorded)
            if has_changed and after.true != after.recorded:
                text += f" (recorded: {self.on_record(after)})"
        true, recorded = self._places(fact, after)
        person = fact["person"]
        robot = fact["robot"]
        return Event(
            fact.seq, fact.time_ms, word, text, fact.kind, self._side(fact),
            *true, *recorded,
            box=fact["box"] if after is None else after.box,
            by=self.run.carrier(robot) if robot != NONE else f"person-{person + 1}" if person != NONE else "",
            robot=robot, person=person, order=fact["order"], task=fact["task"],
        )  # fmt: skip

    def _side(self, fact: Fact) -> str:
        if fact.kind in _ON_TRUTH or (fact.kind == "box_moved" and fact["recorded"] == NONE):
            return "truth"
        if fact.kind == "error_found" and _name(LOOKS, fact["how"]) == "left":
            return "truth"
        return "records" if fact.kind in _ON_RECORDS else "both"

    def _places(self, fact: Fact, life: Life | None) -> tuple[tuple[str, int, int], tuple[str, int, int]]:
        nowhere = ("", NONE, NONE)
        if life is not None:
            true, recorded = life.true, life.recorded
            return (self.run.place(true[0]), *true[1:]), (self.run.place(recorded[0]), *recorded[1:])
        names = () if fact.kind == "task_created" else ("slot", "to_place", "place")
        place = next((fact[name] for name in names if fact[name] != NONE), NONE)
        if place == NONE:
            return nowhere, nowhere
        there = (self.run.place(place), fact["column"], fact["tier"])
        if fact.kind != "box_moved" or fact["recorded"] == NONE:
            return there, nowhere
        is_told = fact["recorded"] == fact["to_place"]
        return there, there if is_told else (self.run.place(fact["recorded"]), NONE, NONE)

    def on_record(self, life: Life) -> str:
        """Where the records have a box; a box that is in the store and recorded outside is missing."""
        if life.recorded[0] == self.run.outside and life.left is None:
            return "missing"
        return self.run.position(life.recorded)

    def filled(self, template: str, fact: Fact, life: Life | None = None) -> str:
        """A template with the values of a fact; brackets in which one does not apply are left out."""

        def value(match: "re.Match[str]") -> str:
            return self.say(match[1], fact, life) or "none"

        def part(match: "re.Match[str]") -> str:
            names = re.findall(r"\{(\w+)\}", match[1])
            return match[1] if all(self.say(name, fact, life) for name in names) else ""

        return re.sub(r"\{(\w+)\}", value, re.sub(r"\[([^\]]*)\]", part, template))

    def say(self, name: str, fact: Fact, life: Life | None = None) -> str:
        """One value of a fact in words; empty when it does not apply."""
        saying = _SAYING.get(name)
        if saying is not None:
            return saying(self, fact, life)
        return "" if fact[name] == NONE else str(fact[name])

    def time(self, fact: Fact, name: str) -> str:
        """A time that a fact names, without the day when it is the same."""
        return "" if fact[name] == NONE else self.run.when(fact[name], fact.time_ms)

    def place(self, fact: Fact, name: str) -> str:
        """A place that a fact names."""
        return "" if fact[name] == NONE else self.run.place(fact[name])

    def day(self, ordinal: int) -> str:
        """A day in words."""
        return date.fromordinal(ordinal).isoformat() if 0 < ordinal < date.max.toordinal() else ""

    def other(self, fact: Fact) -> str:
        """The box that a dig makes way for."""
        task = self.around.tasks.get(fact["task"])
        is_other = task is not None and task["box"] not in (NONE, fact["box"])
        return f"box {self.run.box(task['box'])}" if task is not None and is_other else ""

    def cause(self, fact: Fact) -> str:
        """The cause of an error."""
        return _name(ERRORS, fact["cause"]).replace("_", " ")

    def box_or(self, box: int, nothing: str) -> str:
        """A box by its name, or what is said when there is none."""
        return nothing if box == NONE else f"box {self.run.box(box)}"


def _meters(number: int) -> str:
    return f"{number:,} meter{'' if number == 1 else 's'}"


_SAYING: Final[dict[str, Callable[[_Teller, Fact, Life | None], str]]] = {
    "lot": lambda teller, fact, _: teller.run.lot(fact["lot"]),
    "sku": lambda teller, fact, _: teller.run.named("skus", fact["sku"], "SKU"),
    "station": lambda teller, fact, _: teller.run.named("stations", fact["station"], "station"),
    "line": lambda _, fact, __: str(fact["line"] + 1),
    "meters": lambda _, fact, __: _meters(fact["meters"]),
    "mask": lambda _, fact, __: _meters(max(0, fact["mask"]).bit_count()),
    "slot": lambda teller, fact, _: teller.place(fact, "slot"),
    "from_place": lambda teller, fact, _: teller.place(fact, "from_place"),
    "to_place": lambda teller, fact, _: teller.place(fact, "to_place"),
    "due": lambda teller, fact, _: teller.time(fact, "due"),
    "until": lambda teller, fact, _: teller.time(fact, "until"),
    "day": lambda teller, fact, _: teller.day(fact["day"]),
    "verified_day": lambda teller, fact, _: teller.day(fact["verified_day"]),
    "verified": lambda teller, _, life: teller.day(NONE if life is None else life.verified_day) or "a day",
    "late": lambda _, fact, __: _delay(fact["late"]),
    "reason": lambda _, fact, __: _name(_REASONS, fact["reason"]),
    "task_class": lambda _, fact, __: _name(TASK_CLASSES, fact["task_class"]).replace("_", " "),
    "fault": lambda _, fact, __: _fault(fact["cause"]),
    "permille": lambda _, fact, __: f"{fact['permille'] / 10:.0f}\u00a0% charged",
    "other": lambda teller, fact, _: teller.other(fact),
    "meter": lambda teller, fact, _: teller.run.meter(
        fact["box"] * teller.run.meters_per_box + max(0, fact["meter"])
    ),
}


def _fault(cause: int) -> str:
    return "stop by command" if cause == STOPPED else _name(FAULTS, cause).replace("_", " ")


def _delay(late_ms: int) -> str:
    hours, rest = divmod(late_ms // 1000, 3600)
    if late_ms <= 0:
        return "in time"
    return f"{hours:,} h {rest // 60} min late" if hours else f"{rest // 60} min {rest % 60} s late"


Told = tuple[str, str]
"""The word of an event and its text."""


def _tell_created(teller: _Teller, fact: Fact, _: Life | None, after: Life | None) -> Told:
    dated = (
        "removed from customers"
        if after is not None and after.state == _REMOVED
        else "verified {verified_day}"
    )
    what = teller.filled(f"{{meters}} of {{sku}}, lot {{lot}}, {dated}", fact)
    if fact["place"] == teller.run.truck:
        return "arrived", teller.filled("[on truck {truck}: ]", fact) + what
    return "opening", what


def _tell_moved(teller: _Teller, fact: Fact, before: Life | None, after: Life | None) -> Told:
    run, place = teller.run, fact["to_place"]
    came_from = run.place(fact["from_place"]) if before is None else run.position(before.true)
    task = teller.filled("[, task {task}]", fact)
    told = " (records unchanged)" if after is None and fact["recorded"] == NONE else ""
    if 0 <= place < run.slots:
        return "stored", f"set down{task}{told}"
    if place >= run.first_carrier:
        return "taken", f"taken from {came_from}{task}{told}"
    if place == run.handed_over:
        return "left", f"handed over, from {came_from}{told}"
    if place == run.outside:
        is_full = (
            before is None or before.mask or (before.left is not None and before.left.kind == "box_left")
        )
        return "left", f"{'out of the store' if is_full else 'the empty box goes'}{told}"
    return "moved", f"from {came_from}{task}{told}"


def _tell_recorded(teller: _Teller, fact: Fact, _: Life | None, after: Life | None) -> Told:
    why = _WHY_WORDS.get(_name(WHYS, fact["why"]), "")
    if fact["place"] == teller.run.outside:
        return "missed", f"not where it is recorded, {why}"
    where = teller.run.position((fact["place"], fact["column"], fact["tier"]))
    agrees = teller.run.side == "both" and after is not None and after.true == after.recorded
    return "recorded", f"recorded {'where it is' if agrees else f'in {where}'}, {why}"


def _tell_meters_recorded(_: _Teller, fact: Fact, __: Life | None, after: Life | None) -> Told:
    why = _WHY_WORDS.get(_name(WHYS, fact["why"]), "")
    text = f"{_meters(max(0, fact['mask']).bit_count())} on record, {why}"
    if after is not None and after.mask != after.recorded_mask:
        text += f" (truly {after.mask.bit_count()})"
    return "recorded", text


def _tell_error(teller: _Teller, fact: Fact, _: Life | None, __: Life | None) -> Told:
    meters = f", {_meters(fact['mask'].bit_count())}" if fact["mask"] > 0 else ""
    return "error", f"{teller.cause(fact)}{meters}{teller.filled('[ in {slot}]', fact)}; nobody knew"


def _tell_found(teller: _Teller, fact: Fact, _: Life | None, __: Life | None) -> Told:
    made = teller.around.errors.get(fact["error"])
    cause = f"error {fact['error']}" if made is None else teller.cause(made)
    how = _name(LOOKS, fact["how"])
    return "never found" if how == "left" else "error found", f"{cause}, {_LOOK_WORDS.get(how, how)}"


def _tell_discrepancy(teller: _Teller, fact: Fact, _: Life | None, after: Life | None) -> Told:
    slot, expected, found = teller.place(fact, "slot") or "a slot", fact["expected"], fact["found"]
    if after is not None and after.box == expected:
        return "missed", f"{teller.box_or(found, 'nothing')} met in {slot}, where it is recorded"
    if after is not None:
        there = teller.box_or(expected, "nothing")
        return "met", f"met in {slot}, where {there} is recorded"
    recorded = teller.box_or(expected, "nothing")
    return "discrepancy", f"{recorded} on record, {teller.box_or(found, 'nothing')} met"


def _tell_held(teller: _Teller, fact: Fact, _: Life | None, after: Life | None) -> Told:
    slot = "" if after is None else f"{teller.place(fact, 'slot')} "
    return (
        ("held", f"{slot}on hold, no put-aways") if fact["held"] else ("let go", f"{slot}no longer on hold")
    )


def _tell_blocked(teller: _Teller, fact: Fact, _: Life | None, after: Life | None) -> Told:
    slot = "" if after is None else f"{teller.place(fact, 'slot')} "
    return ("blocked", f"{slot}out of use") if fact["blocked"] else ("unblocked", f"{slot}in use again")


def _tell_counted(teller: _Teller, fact: Fact, _: Life | None, after: Life | None) -> Told:
    text = f"by {_method(fact['method'])}, look {fact['look'] + 1}"
    if after is None:
        return "counted", f"{text}: {fact['recorded']} on record, {fact['seen']} seen"
    slot = fact["slot"]
    difference = teller.around.differences.get((fact["count"], slot, after.box, fact.time_ms))
    if difference is not None:
        verdict = _name(VERDICTS, difference["verdict"])
        what = _DIFFERENCE_WORDS.get(_name(DIFFERENCES, difference["what"]), "a difference")
        result = f"{what}, {_VERDICT_WORDS.get(verdict, verdict)}"
    elif after.true[0] == slot == after.recorded[0]:
        result = "as recorded"
    else:
        result = "not noticed" if after.true[0] == slot else "not missed"
    return "counted", f"in {teller.place(fact, 'slot')} {text}: {result}"


def _method(number: int) -> str:
    from sim.counting import METHODS  # takes parameters and readers along

    return _name(tuple(METHODS), number)


def _tell_difference(teller: _Teller, fact: Fact, _: Life | None, after: Life | None) -> Told:
    verdict = _name(VERDICTS, fact["verdict"])
    text = _VERDICT_WORDS.get(verdict, verdict)
    if fact["verdict"] == LOST_POSTED and fact["what"] == MISSING:
        return "lost", f"{text} as a loss"
    if fact["verdict"] == FOUND_POSTED and fact["what"] == SURPLUS:
        return "found", text
    what = _DIFFERENCE_WORDS.get(_name(DIFFERENCES, fact["what"]), "a difference")
    where = teller.filled("[in {slot}: ]", fact) if after is not None else ""
    return "counted", f"{where}{what}, {text}"


def _tell_state(_: _Teller, fact: Fact, before: Life | None, __: Life | None) -> Told:
    state = _name(STATES, fact["state"])
    was_held = before is not None and _name(STATES, before.state) in ("quarantined", "surplus_found")
    word = "let go" if was_held and state == "qualified_in_stock" else _STATE_WORDS.get(state, "state")
    return word, f"recorded as {state.replace('_', ' ')}"


def _tell_work(teller: _Teller, fact: Fact, _: Life | None, __: Life | None) -> Told:
    work = _name(WORK, fact["work"])
    order = teller.filled("[, for order {order}]", fact)
    return _WORK_WORDS.get(work, work), f"until {teller.time(fact, 'end') or 'later'}{order}"


def _tell_stretch(teller: _Teller, fact: Fact, _: Life | None, __: Life | None) -> Told:
    going = fact["from_place"] != fact["to_place"]
    text = teller.filled("from {from_place}" if going else "at {to_place}", fact)
    until = f", until {teller.time(fact, 'end')}" if fact["end"] != NONE else ""
    return _name(ACTIVITIES, fact["activity"]).replace(
        "_", " "
    ), f"{text}{until}{teller.filled('[, task {task}]', fact)}"


def _tell_back(teller: _Teller, fact: Fact, _: Life | None, __: Life | None) -> Told:
    cause = _name(RETURNS, fact["cause"])
    return "returned", f"{_RETURN_WORDS.get(cause, cause)}{teller.filled('[, order {order}]', fact)}"


def _tell_left(_: _Teller, fact: Fact, __: Life | None, ___: Life | None) -> Told:
    cause = _name(RETURNS, fact["cause"])
    return _LEAVING_WORDS.get(cause, ("sent out", cause))


_SPECIAL: Final[dict[str, Callable[[_Teller, Fact, Life | None, Life | None], Told]]] = {
    "box_created": _tell_created,
    "box_moved": _tell_moved,
    "box_recorded": _tell_recorded,
    "meters_recorded": _tell_meters_recorded,
    "error_made": _tell_error,
    "error_found": _tell_found,
    "discrepancy": _tell_discrepancy,
    "slot_held": _tell_held,
    "slot_blocked": _tell_blocked,
    "slot_counted": _tell_counted,
    "count_difference": _tell_difference,
    "box_state": _tell_state,
    "person_work": _tell_work,
    "robot_stretch": _tell_stretch,
    "box_came_back": _tell_back,
    "box_left": _tell_left,
}


# --- histories -------------------------------------------------------------------------------------------


def track(
    run: Run | Traced,
    subject: Subject,
    at_ms: int | None = None,
    last: int | None = None,
    side: Side = "both",
) -> Story:
    """Where a subject is, and everything that happened to it, up to and including `at_ms` (None: the end).

    With `last`, only so many events are told, those at the end. On the side of the records only what these
    told at the time is told, and the facts are numbered without the others. Raises TrackError for a subject
    that the run does not have.
    """
    run = Run.of(run)
    run = run.on_record() if side == "records" else run
    story = _STORIES[subject.kind](run, subject, run.end_ms if at_ms is None else at_ms, last)
    cut = 0 if last is None else max(0, len(story.events) - last)
    return story._replace(events=story.events[cut:], earlier=story.earlier + cut)


def page_of(
    run: Run | Traced, subject: Subject, page: Page, at_ms: int | None = None, side: Side = "both"
) -> tuple[list[Event], int | None]:
    """The events on a page of a history, and the number of the last fact when more follow, else None.

    All events of one fact are on one page, of which there may be more than `limit` then.
    """
    run = Run.of(run)
    run = run.on_record() if side == "records" else run
    at_ms = run.end_ms if at_ms is None else at_ms
    if subject.kind == "robot":
        events = _events_of_robot(run, subject.number, at_ms, page)
    else:
        events = _STORIES[subject.kind](run, subject, at_ms, None).events
    events = [event for event in events if page.is_on(event.seq)]
    events = events[::-1] if page.newest else events
    cut = page.limit
    while 0 < cut < len(events) and events[cut].seq == events[cut - 1].seq:
        cut += 1
    return events[:cut], events[cut - 1].seq if len(events) > cut > 0 else None


def where_is(run: Run | Traced, subject: Subject, at_ms: int | None = None) -> str:
    """One sentence: where a subject truly is, where it is recorded, and in which state."""
    return track(run, subject, at_ms).sentence


def history_of_meter(run: Run | Traced, meter: int) -> list[Event]:
    """What happened to a meter: to its box while it was in it, and to itself."""
    return track(run, Subject("meter", meter)).events


def history_of_box(run: Run | Traced, box: int) -> list[Event]:
    """What happened to a box, in truth and on record."""
    return track(run, Subject("box", box)).events


def history_of_slot(run: Run | Traced, slot: int) -> list[Event]:
    """What came to a slot and left it, in truth or on record, and what was counted, held and found there."""
    return track(run, Subject("slot", slot)).events


def history_of_lot(run: Run | Traced, lot: int) -> list[Event]:
    """What happened to a lot and to each of its boxes."""
    return track(run, Subject("lot", lot)).events


def history_of_robot(run: Run | Traced, robot: int) -> list[Event]:
    """What a robot did, or a person who carries boxes by hand: tours, stretches, boxes taken and set down."""
    return track(run, Subject("robot", robot)).events


def history_of_order(run: Run | Traced, order: int) -> list[Event]:
    """What happened to an order, from its release to its hand-over, and how its boxes moved for it."""
    return track(run, Subject("order", order)).events


class _Step(NamedTuple):
    """A fact with the life of the box that it concerns, before and after it."""

    fact: Fact
    before: Life
    after: Life


def _steps(run: Run, facts: Sequence[Fact], boxes: Collection[int]) -> Iterator[_Step]:
    """Facts in order with the lives of the boxes that they concern; facts that say one thing are joined.

    A slot's fact concerns every box that truly stands or is recorded in it.
    """
    own: dict[int, list[Fact]] = {}
    for fact in facts:
        own.setdefault(fact["box"], []).append(fact)
    joined, skipped = _joined(run, own)
    lives = {box: Life(box) for box in sorted(boxes)}
    for fact in facts:
        for life in _concerned(fact, lives):
            before = life.copied()
            if fact["box"] == life.box and fact.kind in _CHANGES:
                life.apply(fact, run)
            if fact.seq in skipped:
                continue
            for more in joined.get(fact.seq, ()):
                life.apply(more, run)
            yield _Step(fact, before, life.copied())


def _concerned(fact: Fact, lives: Mapping[int, Life]) -> list[Life]:
    if fact.kind == "discrepancy":
        return [lives[box] for box in (fact["expected"], fact["found"]) if box in lives]
    if fact["box"] in lives:
        return [lives[fact["box"]]]
    if fact.kind in ("slot_counted", "slot_held", "slot_blocked"):
        return [life for life in lives.values() if fact["slot"] in (life.true[0], life.recorded[0])]
    if fact.kind == "lot_recalled":
        return [life for life in lives.values() if life.lot == fact["lot"] and life.left is None]
    return []


def _joined(run: Run, own: Mapping[int, Sequence[Fact]]) -> tuple[dict[int, list[Fact]], set[int]]:
    """Facts that belong to the one before, by its number, and the numbers of those not told apart."""
    joined: dict[int, list[Fact]] = {}
    skipped: set[int] = set()
    for facts in own.values():
        for first, second in pairwise(facts):
            opening = (
                first.kind == "box_created" and second.kind == "box_moved" and first["place"] != run.truck
            )
            misplaced = (
                first.kind == "box_moved" and second.kind == "box_recorded" and second["why"] == WHY_ERROR
                and first["recorded"] == NONE
            )  # fmt: skip
            # Meters from customers have no date of verification: what they are says the state that follows.
            removed = (
                first.kind == "box_created" and second.kind == "box_state" and second["state"] == _REMOVED
            )
            if (opening or misplaced or removed) and first.time_ms == second.time_ms:
                joined.setdefault(first.seq, []).append(second)
                skipped.add(second.seq)
            damaged = first.kind == "meters_damaged" and second.kind == "error_made"
            if damaged and first.time_ms == second.time_ms and first["mask"] == second["mask"]:
                skipped.add(second.seq)
    return joined, skipped


def _of_boxes(run: Run, boxes: Collection[int], at_ms: int) -> tuple[list[_Step], _Teller]:
    """Every step in the lives of some boxes, with what was done to the slots and lots in which they were."""
    own = run.facts.select([
        Match("box", boxes), Match("expected", boxes, ("discrepancy",)),
        Match("found", boxes, ("discrepancy",)),
    ])  # fmt: skip
    lives = list(_steps(run, [fact for fact in own if fact.time_ms <= at_ms], boxes))
    slots = {
        where[0]
        for step in lives
        for where in (step.after.true, step.after.recorded)
        if 0 <= where[0] < run.slots
    }
    lots = {step.after.lot for step in lives} - {NONE}
    tasks = {fact["task"] for fact in own if fact.kind in ("task_created", "box_dug")} - {NONE}
    others = run.facts.select([
        Match("slot", slots, ("slot_counted", "slot_held", "slot_blocked")),
        Match("lot", lots, ("lot_recalled",)),
        Match("task", tasks, ("task_created", "task_cancelled")),
    ])  # fmt: skip
    by_number = {fact.seq: fact for fact in (*own, *others)}
    facts = [by_number[seq] for seq in sorted(by_number)]
    around = _Around.of(facts)
    for fact in facts:  # a task that is called off tells of its box
        if fact.kind == "task_cancelled" and fact["task"] in around.tasks:
            fact.fields["box"] = around.tasks[fact["task"]]["box"]
    told = [fact for fact in facts if fact.time_ms <= at_ms]
    steps = list(_steps(run, told, boxes))
    return [step for step in steps if not _is_in_count(step.fact, steps, around)], _Teller(run, around)


def _is_in_count(fact: Fact, steps: Sequence[_Step], around: _Around) -> bool:
    """Whether a difference is told with the count that saw it."""
    if fact.kind != "count_difference" or fact["slot"] == NONE:
        return False
    if around.differences.get((fact["count"], fact["slot"], fact["box"], fact.time_ms)) is not fact:
        return False
    return any(
        step.fact.kind == "slot_counted" and step.after.box == fact["box"]
        and step.fact.time_ms == fact.time_ms
        and (step.fact["count"], step.fact["slot"]) == (fact["count"], fact["slot"])
        for step in steps
    )  # fmt: skip


def _story_of_box(run: Run, subject: Subject, at_ms: int, _last: int | None) -> Story:
    box = subject.number
    steps, teller = _of_boxes(run, [box], at_ms)
    events = [teller.event(*step) for step in steps]
    life = _last_life(run, steps, subject)
    words = f"Box {run.box(box)}"
    if life is None:
        return Story(subject, run.box(box), f"{words} has not come yet.", {}, events)
    return Story(
        subject, run.box(box), f"{words} {_box_sentence(teller, life)}.", _where(teller, life), events
    )


def _last_life(run: Run, steps: Sequence[_Step], subject: Subject) -> Life | None:
    """The life of a box after the last step; None before it came. Raises TrackError when it never comes."""
    if steps and steps[-1].after.created_ms is not None:
        return steps[-1].after
    box = subject.number // run.meters_per_box if subject.kind == "meter" else subject.number
    if not run.facts.select([Match("box", [box], ("box_created",))]):
        raise TrackError([f"{subject.kind}: expected one of this run, found {run.name_of(subject)}"])
    return None


def _story_of_meter(run: Run, subject: Subject, at_ms: int, _last: int | None) -> Story:
    box, k = divmod(subject.number, run.meters_per_box)
    steps, teller = _of_boxes(run, [box], at_ms)
    events = [teller.event(*step) for step in steps if _concerns(step, k, teller.around)]
    there = run.place(run.handed_over)
    events = [
        event._replace(
            place=there,
            column=NONE,
            tier=NONE,
            recorded_place=there,
            recorded_column=NONE,
            recorded_tier=NONE,
        )
        if event.fact == "meters_issued"
        else event
        for event in events
    ]
    life = _last_life(run, steps, subject)
    name = run.meter(subject.number)
    if life is None:
        return Story(subject, name, f"Meter {name} has not come yet.", {}, events)
    if k >= life.came:
        found = f"box {run.box(box)} does not come with it"
        raise TrackError([f"asset: expected a meter of this run, found {name}: {found}"])
    where = _where(teller, life)
    is_in, is_recorded = bool(life.mask >> k & 1), bool(life.recorded_mask >> k & 1)
    where |= {"in_box": is_in}
    if run.side == "both":
        where |= {"recorded_in_box": is_recorded, "damaged": bool(life.damaged >> k & 1)}
    return Story(subject, name, f"Meter {name} {_meter_sentence(teller, life, k)}.", where, events)


def _concerns(step: _Step, k: int, around: _Around) -> bool:
    """Whether a step in the life of a box is one of its meter k."""
    fact, before, after = step
    bit = 1 << k
    if fact.kind == "error_found" and fact["error"] in around.errors:
        fact = around.errors[fact["error"]]
        return bool(fact["mask"] & bit) if fact["mask"] > 0 else bool(before.mask & bit)
    if fact.kind == "tag_replaced":
        return fact["meter"] == k
    if fact.kind == "meters_recorded":
        return bool((before.recorded_mask ^ after.recorded_mask) & bit)
    if fact.kind in ("meters_picked", "meters_issued", "meters_damaged", "meters_scrapped", "error_made"):
        return bool(fact["mask"] & bit) if fact["mask"] > 0 else bool(before.mask & bit)
    return bool((before.mask | after.mask) & bit)


def _story_of_lot(run: Run, subject: Subject, at_ms: int, _last: int | None) -> Story:
    lot = subject.number
    created = run.facts.select([Match("lot", [lot], ("lot_created", "box_created", "lot_recalled"))])
    boxes = {fact["box"] for fact in created if fact.kind == "box_created"}
    steps, teller = _of_boxes(run, boxes, at_ms)
    events = [teller.event(*step) for step in steps if step.fact.kind != "lot_recalled"]
    events += [
        teller.event(fact)
        for fact in created
        if fact.kind in ("lot_created", "lot_recalled") and fact.time_ms <= at_ms
    ]
    events.sort(key=lambda event: event.seq)
    lives = [life for life in _last_lives(steps).values() if life.created_ms is not None]
    here = [life for life in lives if life.left is None and life.true[0] != run.truck]
    coming = sum(life.true[0] == run.truck for life in lives)
    gone = len(lives) - len(here) - coming
    missing = [life for life in here if run.side == "records" and life.recorded[0] == run.outside]
    here = [life for life in here if life not in missing]
    wrong = sum(life.true != life.recorded for life in here)
    meters = sum(life.mask.bit_count() for life in here)
    parts = [f"{len(here):,} in the store with {_meters(meters)}" if here else "none in the store"]
    parts += [f"{len(missing):,} missing"] * bool(missing)
    parts += [f"{coming:,} on a truck"] * bool(coming) + [f"{gone:,} gone"] * bool(gone)
    about = next((fact for fact in created if fact.kind == "lot_created"), None)
    sku = f" of {teller.say('sku', about)}" if about is not None else ""
    sentence = f"Lot {run.lot(lot)}{sku}: {_boxes(len(lives))} came; {', '.join(parts)}"
    where = {
        "boxes": len(lives), "in_store": len(here), "on_truck": coming, "gone": gone, "meters": meters,
    }  # fmt: skip
    if run.side == "records":
        return Story(subject, run.lot(lot), f"{sentence}.", where | {"missing": len(missing)}, events)
    sentence += (
        f"; {wrong:,} not where recorded" if wrong else "; all where they are recorded" if here else ""
    )
    return Story(subject, run.lot(lot), f"{sentence}.", where | {"not_where_recorded": wrong}, events)


def _last_lives(steps: Iterable[_Step]) -> dict[int, Life]:
    return {step.after.box: step.after for step in steps}


def _story_of_slot(run: Run, subject: Subject, at_ms: int, _last: int | None) -> Story:
    slot = subject.number
    found = run.facts.select([
        Match("slot", [slot]), Match("place", [slot]), Match("to_place", [slot], ("box_moved",)),
        Match("recorded", [slot], ("box_moved",)),
    ])  # fmt: skip
    visiting = ("box_created", "box_moved", "box_recorded")
    boxes = {fact["box"] for fact in found if fact.kind in visiting} - {NONE}
    by_number = {fact.seq: fact for fact in found}
    by_number |= {fact.seq: fact for fact in run.facts.select([Match("box", boxes)])}
    facts = [by_number[seq] for seq in sorted(by_number) if by_number[seq].time_ms <= at_ms]
    teller = _Teller(run, _Around.of(facts))
    events: dict[tuple[int, int], Event] = {}
    lives: dict[int, Life] = {}
    for step in _steps(run, facts, boxes):
        fact, before, after = step
        lives[after.box] = after
        here = {before.true[0], after.true[0], before.recorded[0], after.recorded[0]}
        is_visit = fact.kind in visiting and slot in here
        if fact["box"] == after.box and (is_visit or fact["slot"] == slot):
            events[fact.seq, after.box] = teller.event(fact, before, after)
    told = {seq for seq, _ in events}
    for fact in facts:
        if fact.seq not in told and slot in (fact["slot"], fact["place"]) and fact["box"] not in boxes:
            events[fact.seq, NONE] = teller.event(fact)
    true = [life for life in lives.values() if life.true[0] == slot]
    recorded = [life for life in lives.values() if life.recorded[0] == slot]
    strange = sum(life.recorded[0] != slot for life in true)
    missing = sum(life.true[0] != slot for life in recorded)
    held = [fact["held"] for fact in facts if fact.kind == "slot_held" and fact["slot"] == slot]
    blocked = [fact["blocked"] for fact in facts if fact.kind == "slot_blocked" and fact["slot"] == slot]
    name = run.place(slot)
    where: dict[str, Any]
    if run.side == "records":
        sentence = f"Slot {name} has {_boxes(len(recorded))} on record"
        where = {"boxes": len(recorded)}
    else:
        sentence = f"Slot {name} holds {_boxes(len(true))}"
        wrong = [f"{strange} not on record here"] * bool(strange) + [
            f"{missing} on record here and elsewhere"
        ] * bool(missing)
        sentence += f": {', '.join(wrong)}" if wrong else ", as recorded"
        where = {
            "boxes": len(true), "recorded_boxes": len(recorded), "not_on_record": strange,
            "elsewhere": missing,
        }  # fmt: skip
    is_held, is_blocked = bool(held and held[-1]), bool(blocked and blocked[-1])
    sentence += "; it is on hold" * is_held + "; it is out of use" * is_blocked
    where |= {"held": is_held, "blocked": is_blocked}
    return Story(subject, name, f"{sentence}.", where, [events[key] for key in sorted(events)])


def _boxes(number: int) -> str:
    return "no box" if not number else f"{number:,} box{'' if number == 1 else 'es'}"


def _of_robot(run: Run, robot: int) -> list[Match]:
    # People take boxes off a robot that is out of order.
    matches = [Match("robot", [robot]), Match("from_place", [run.first_carrier + robot], ("box_moved",))]
    return [*matches, Match("person", [robot - run.robots])] if robot >= run.robots else matches


def _events_of_robot(run: Run, robot: int, at_ms: int, page: Page) -> list[Event]:
    """The events of a robot on a page, and one more: a robot has too many facts to tell them all for that."""
    facts = run.facts.select(_of_robot(run, robot), page)
    teller = _Teller(run, _Around())
    return [teller.event(fact) for fact in facts if fact.time_ms <= at_ms]


def _story_of_robot(run: Run, subject: Subject, at_ms: int, last: int | None) -> Story:
    robot = subject.number
    own = run.first_carrier + robot
    facts = [fact for fact in run.facts.select(_of_robot(run, robot)) if fact.time_ms <= at_ms]
    teller = _Teller(run, _Around.of(facts))
    cut = 0 if last is None else max(0, len(facts) - last)
    events = [teller.event(fact) for fact in facts[cut:]]
    name = run.carrier(robot)
    on_board: dict[int, None] = {}
    for fact in sorted([*facts, *_recorded_off(run, facts, own)], key=lambda fact: fact.seq):
        if fact.kind in ("box_moved", "box_recorded") and fact.time_ms <= at_ms:
            on_board.pop(fact["box"], None)
            if fact["to_place"] == own:
                on_board[fact["box"]] = None
    load = f" with {_boxes(len(on_board))} on board" if on_board else ""
    stretch = next((fact for fact in reversed(facts) if fact.kind == "robot_stretch"), None)
    where: dict[str, Any] = {"boxes": [run.box(box) for box in on_board]}
    if stretch is None:
        done = sum(fact.kind == "box_moved" and fact["from_place"] == own for fact in facts)
        return Story(subject, name, f"{name} has set down {_boxes(done)}{load}.", where, events, cut)
    place, since = run.place(stretch["to_place"]), run.when(stretch.time_ms)
    doing = _DOING.get(_name(ACTIVITIES, stretch["activity"]), "is at")
    where |= {"place": place, "doing": doing, "since_s": stretch.time_ms / 1000}
    return Story(subject, name, f"{name} {doing} {place} since {since}{load}.", where, events, cut)


def _recorded_off(run: Run, facts: Iterable[Fact], own: int) -> list[Fact]:
    """Facts by which boxes are off a robot on record alone: the message that they were set down was lost."""
    if run.side == "both":
        return []
    boxes = {fact["box"] for fact in facts if fact.kind == "box_moved" and fact["to_place"] == own}
    return run.facts.select([Match("box", boxes, ("box_recorded",))])


def _story_of_order(run: Run, subject: Subject, at_ms: int, last: int | None) -> Story:
    order = subject.number
    facts = run.facts.select([Match("order", [order])])
    if not facts:
        raise TrackError([f"order: expected one of this run, found {order}"])
    tasks = {fact["task"] for fact in facts if fact.kind == "task_created"}
    kinds = ("box_moved", "box_dug", "task_assigned", "task_done", "task_returned", "task_cancelled")
    moves = run.facts.select([Match("task", tasks, kinds)])
    told = sorted([fact for fact in (*facts, *moves) if fact.time_ms <= at_ms], key=lambda fact: fact.seq)
    teller = _Teller(run, _Around.of(told))
    for fact in told:  # what is done to a task is done to its box
        if fact.kind in kinds[2:]:
            fact.fields["box"] = teller.around.tasks[fact["task"]]["box"]
    name = str(order)
    released = next((fact for fact in told if fact.kind == "order_released"), None)
    if released is None:
        return Story(subject, name, f"Order {name} has not been released yet.", {}, [])
    ordered = sum(fact["meters"] for fact in told if fact.kind == "order_line")
    issued = sum(fact["mask"].bit_count() for fact in told if fact.kind == "meters_issued")
    over = next((fact for fact in told if fact.kind == "order_handed_over"), None)
    sentence = f"Order {name} for {teller.say('station', released)}, {_meters(ordered)}"
    sentence += f", released {run.moment(released.time_ms)}"
    if over is not None:
        sentence += f", was handed over {run.moment(over.time_ms)}, {_delay(over['late'])}"
    else:
        sentence += f": {issued:,} of them handed over; due {teller.time(released, 'due')}"
    where = {
        "station": teller.say("station", released), "meters": ordered, "issued": issued,
        "released_s": released.time_ms / 1000, "due_s": released["due"] / 1000,
        "handed_over_s": None if over is None else over.time_ms / 1000,
        "late_s": None if over is None else over["late"] / 1000,
    }  # fmt: skip
    cut = 0 if last is None else max(0, len(told) - last)
    return Story(subject, name, f"{sentence}.", where, [teller.event(fact) for fact in told[cut:]], cut)


_STORIES: Final[dict[str, Callable[[Run, Subject, int, int | None], Story]]] = {
    "meter": _story_of_meter,
    "box": _story_of_box,
    "slot": _story_of_slot,
    "lot": _story_of_lot,
    "robot": _story_of_robot,
    "order": _story_of_order,
}


# --- where it is -----------------------------------------------------------------------------------------


def _where(teller: _Teller, life: Life) -> dict[str, Any]:
    """A life as values for JSON."""
    run = teller.run
    where = {
        "place": run.place(life.true[0]), "column": life.true[1], "tier": life.true[2],
        "recorded_place": run.place(life.recorded[0]), "recorded_column": life.recorded[1],
        "recorded_tier": life.recorded[2], "as_recorded": life.true == life.recorded,
        "box": run.box(life.box), "meters": life.mask.bit_count(),
        "recorded_meters": life.recorded_mask.bit_count(), "reserved": sum(life.reserved.values()),
        "state": _name(STATES, life.state), "sku": run.named("skus", life.sku, "SKU"),
        "lot": run.lot(life.lot),
        "verified_on": teller.day(life.verified_day),
    }  # fmt: skip
    if run.side == "records":
        return {name: value for name, value in where.items() if "recorded" not in name}
    return where


def _at(teller: _Teller, where: Where) -> str:
    """A place after "is": in 2-07-3 1.4, on robot-1, at port in."""
    run, (place, column, _) = teller.run, where
    name = run.place(place)
    if column != NONE or 0 <= place < run.slots:
        return f"in {run.position(where)}"
    if place >= run.first_carrier:
        return f"with {name}" if name.startswith("person-") else f"on {name}"
    return _AT.get(name, f"at {name}")


def _box_place(teller: _Teller, life: Life) -> str:
    if teller.run.side == "records":
        is_missing = life.recorded[0] == teller.run.outside and life.left is None
        return "is missing" if is_missing else f"is recorded {_at(teller, life.recorded)}"
    truly = _at(teller, life.true)
    if life.true == life.recorded:
        return f"is {truly}, as recorded"
    if life.recorded[0] == teller.run.outside and life.left is None:
        return f"is {truly}, recorded as missing"
    return f"is {truly}, recorded {_at(teller, life.recorded)}"


def _box_sentence(teller: _Teller, life: Life) -> str:
    run = teller.run
    if life.left is not None:
        how = {
            "meters_issued": teller.filled("handed over for order {order}", life.left),
            "box_emptied": "empty",
        }.get(life.left.kind) or _tell_left(teller, life.left, None, None)[1]
        return f"left the store {run.moment(life.left.time_ms)}, {how}"
    meters, recorded = life.mask.bit_count(), life.recorded_mask.bit_count()
    text = f"{_box_place(teller, life)}: {_meters(meters)} of {run.named('skus', life.sku, 'SKU')}"
    text += f" ({recorded} on record)" if life.mask != life.recorded_mask else ""
    damaged = life.damaged.bit_count()
    text += f", {damaged} of them damaged unnoticed" if damaged else ""
    return f"{text}, {_state_words(life)}"


def _state_words(life: Life) -> str:
    reserved, recorded = sum(life.reserved.values()), life.recorded_mask.bit_count()
    state = _name(STATES, life.state).replace("_", " ")
    if not reserved:
        return state
    orders = (
        f"order {next(iter(life.reserved))}" if len(life.reserved) == 1 else f"{len(life.reserved)} orders"
    )
    if reserved >= recorded:
        return f"reserved for {orders}"
    return f"{state}, {reserved} reserved for {orders}"


def _meter_sentence(teller: _Teller, life: Life, k: int) -> str:
    run, box = teller.run, teller.run.box(life.box)
    fate = life.fates.get(k)
    if fate is None and not life.mask >> k & 1:
        return f"is no longer in box {box}"
    if fate is None:
        damaged = ", damaged unnoticed" if life.damaged >> k & 1 else ""
        gone = "" if life.recorded_mask >> k & 1 else ", not on record"
        sku = run.named("skus", life.sku, "SKU")
        where = f"is in box {box}, which {_box_place(teller, life)}: {sku}{damaged}{gone}"
        return f"{where}, {_state_words(life)}"
    when = run.moment(fate.time_ms)
    still = f"; the records have it in box {box}" if life.recorded_mask >> k & 1 else ""
    how = {
        "meters_issued": teller.filled("was handed over for order {order}", fate) + f" {when}",
        "meters_picked": teller.filled("was picked for order {order}", fate)
        + f" {when}, and is not handed over yet",
        "meters_scrapped": f"was taken out of box {box} {when}, to be scrapped",
        "box_left": f"left the store in box {box} {when}",
        "meters_recorded": f"is not in box {box} any more, as found {when}",
    }  # fmt: skip
    if fate.kind in how:
        return f"{how[fate.kind]}{still}"
    if teller.cause(fate) == "short packed":
        return f"never came: box {box} was packed short{still}"
    return f"was taken out of box {box} {when} and not written down{still}"


def is_astray(event: Event) -> bool:
    """Whether a box was elsewhere than the records had it, after an event."""
    true = (event.place, event.column, event.tier)
    return bool(event.recorded_place) and true != (
        event.recorded_place, event.recorded_column, event.recorded_tier
    )  # fmt: skip


def as_json(run: Run, event: Event) -> dict[str, Any]:
    """An event ready for JSON: numbers that do not apply are null, columns and tiers count from 0."""
    day, clock = run.day_and_clock(event.time_ms)
    document: dict[str, Any] = {"seq": event.seq, "time_s": event.time_ms / 1000, "at": f"{day} {clock}"}
    for name, value in event._asdict().items():
        if name not in ("seq", "time_ms"):
            document["event" if name == "word" else name] = None if value == NONE else value
    if event.box != NONE:
        document["box_name"] = run.box(event.box)
    return document
