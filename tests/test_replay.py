"""The replay of order traces: hand-worked totals, a slow second implementation, and faults in words."""

import csv
import gzip
import hashlib
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from sim.allocation import POLICIES
from sim.replay import MOST_FAULTS, TraceError, read_events, replay
from sim.scenario import load
from sim.streams import Streams

SYNTHETIC = Path(__file__).parent / "data" / "synthetic_200.csv"
RACK_A = load("rack_a")

Slot = tuple[float, int, int]
"""A slot of rack A as (seconds to the port, column, level), both from 0."""


# -- A slow, obvious second implementation, from the text of the task and nothing of ours --------------


def rack_a_slots() -> list[Slot]:
    return [(max(0.6 * (c + 1) / 2.0, 0.5 * l / 0.5), c, l) for c in range(43) for l in range(6)]  # noqa: E741


class Zones:
    """Demand classes by their share of the rows: A up to 2/3, B up to 9/10, C the rest; nearest zone to A."""

    def __init__(self, rows: list[dict[str, str]]) -> None:
        first_seen = list(dict.fromkeys(row["sku"] for row in rows))
        shares = Counter(row["sku"] for row in rows)
        self.of_sku: dict[str, int] = {}
        of_zone = [0.0, 0.0, 0.0]
        running = 0.0
        for sku in sorted(first_seen, key=lambda s: -shares[s]):
            zone = (running >= 2 / 3) + (running >= 0.9)
            share = shares[sku] / len(rows)
            self.of_sku[sku] = zone
            of_zone[zone] += share
            running += share
        ends = [round(258 * of_zone[0]), round(258 * (of_zone[0] + of_zone[1])), 258]
        self.of_slot = {s: sum(i >= e for e in ends) for i, s in enumerate(sorted(rack_a_slots()))}

    def distance(self, slot: Slot, sku: str) -> int:
        """How late the slot's zone is tried: the SKU's own, the next ones out, then back in."""
        own, zone = self.of_sku[sku], self.of_slot[slot]
        return zone - own if zone >= own else 3 - zone


def slow_total_s(path: Path, choose: Callable[[set[Slot], str], Slot]) -> float:
    free, taken, total = set(rack_a_slots()), {}, 0.0
    for row in csv.DictReader(io.StringIO(text_of(path))):
        if row["op"] == "in":
            slot = taken[row["unit"]] = choose(free, row["sku"])
            free.remove(slot)
            total += slot[0] if float(row["time_s"]) > 0 else 0.0
        else:
            slot = taken.pop(row["unit"])
            free.add(slot)
            total += slot[0]
    return total


def slow_rules(path: Path) -> dict[str, Callable[[set[Slot], str], Slot]]:
    zones = Zones(list(csv.DictReader(io.StringIO(text_of(path)))))
    return {
        "closest-open": lambda free, sku: min(free),
        "farthest-open": lambda free, sku: max(free),
        "first-free": lambda free, sku: min(free, key=lambda slot: slot[1:]),
        "class-based": lambda free, sku: min(free, key=lambda slot: (zones.distance(slot, sku), slot)),
        # A slot of one box never holds the lot and has room besides: the nearest empty slot is left.
        "lot-pure": lambda free, sku: min(free),
    }


def slow_random_total_s(path: Path, seed: int) -> float:
    """Each open slot as likely, drawn from the sorted ones; ours draws from a list in no order."""
    stream, arrivals = Streams(seed)["another stream"], iter(range(10**9))
    return slow_total_s(path, lambda free, sku: sorted(free)[int(stream.uniform(next(arrivals)) * len(free))])


def text_of(path: Path) -> str:
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()


# -- Totals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "total_s"), [("closest-open", 433.4), ("farthest-open", 2234.4), ("first-free", 522.2)]
)
def test_synthetic_trace_by_hand(policy: str, total_s: float) -> None:
    """200 events give the totals whose working stands in synthetic_200.md."""
    assert replay(SYNTHETIC, RACK_A, policy) == {
        "policy": policy,
        "moves": 188,  # 200 less the 12 at time 0
        "total_s": total_s,
        "per_move_s": total_s / 188,
        "peak": 58,
        "final": 4,
        "mean_occupancy": 5708 / 188,
    }


@pytest.mark.parametrize("policy", sorted(set(POLICIES) - {"random"}))
def test_synthetic_trace_second_implementation(policy: str) -> None:
    """Every rule that draws nothing agrees with the slow implementation on the synthetic trace."""
    slow = slow_total_s(SYNTHETIC, slow_rules(SYNTHETIC)[policy])
    assert replay(SYNTHETIC, RACK_A, policy)["total_s"] == pytest.approx(slow, abs=1e-6)


REAL_TOTALS_S = {
    "closest-open": 30653.0,
    "random": 36628.2,  # with seed 0; changes with the streams, and so with the model version
    "farthest-open": 43115.1,
    "first-free": 30774.5,
    "class-based": 30851.1,
    "lot-pure": 30653.0,
}


@pytest.fixture(scope="module")
def wepa258(shared_data: Path) -> Path:
    path = shared_data / "wepa258.csv.gz"
    if not path.is_file():
        pytest.skip(f"no real trace at {path}: set METERHOUSE_SHARED to the shared folder")
    return path


def test_real_trace_is_the_one(wepa258: Path) -> None:
    """The real trace is the file that its SOURCE.md describes, and says what it says of it."""
    text = text_of(wepa258)
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == "b179b6ab64f8b28cea14671b09e924d5eecdc3eeac63261f93fc171cf8091ba6"
    events = read_events(wepa258)
    assert (len(events.time_ms), events.units, len(set(events.sku))) == (5537, 2844, 108)
    assert events.time_ms.count(0) == 190
    assert events.time_ms[-1] == 7_657_200_000


def test_real_trace_covers_all_policies() -> None:
    """A new rule gets its total on the real trace."""
    assert set(REAL_TOTALS_S) == set(POLICIES)


@pytest.mark.parametrize("policy", REAL_TOTALS_S)
def test_real_trace_totals(wepa258: Path, policy: str) -> None:
    """The real trace through every rule: exact totals, and the same moves and occupancy for all."""
    result = replay(wepa258, RACK_A, policy)
    assert (result["moves"], result["peak"], result["final"]) == (2654 + 2693, 255, 151)
    assert result["mean_occupancy"] == pytest.approx(203.10, abs=0.005)
    assert result["total_s"] == REAL_TOTALS_S[policy]
    assert result["per_move_s"] == REAL_TOTALS_S[policy] / 5347


@pytest.mark.parametrize("policy", sorted(set(REAL_TOTALS_S) - {"random"}))
def test_real_trace_second_implementation(wepa258: Path, policy: str) -> None:
    """Every rule that draws nothing agrees with the slow implementation on the real trace."""
    slow = slow_total_s(wepa258, slow_rules(wepa258)[policy])
    assert slow == pytest.approx(REAL_TOTALS_S[policy], abs=1e-6)


def test_random_is_uniform(wepa258: Path) -> None:
    """`random` scores like any uniform choice of an open slot: within the spread of ten such replays."""
    others = [slow_random_total_s(wepa258, seed) for seed in range(10)]
    ours = [replay(wepa258, RACK_A, "random", seed=seed)["total_s"] for seed in range(10)]
    assert len(set(ours)) == 10
    # Standard deviations are about 200 s: the means of ten differ by less than 4 x 200 x sqrt(2 / 10).
    assert abs(sum(ours) - sum(others)) / 10 < 360


def test_slots_of_several_boxes() -> None:
    """A store of ten boxes a slot and two ports replays too: room is counted in boxes."""
    result = replay(SYNTHETIC, load("luoyang"), "closest-open")
    assert (result["moves"], result["peak"], result["final"]) == (188, 58, 4)


# -- What a trace may look like -------------------------------------------------------------------------


def write(path: Path, rows: str, head: str = "seq,time_s,op,unit,sku,dock\n") -> Path:
    path.write_text(head + rows)
    return path


def test_rows_in_any_order(tmp_path: Path) -> None:
    """`seq` gives the order, not the line of the file."""
    head, *rows = SYNTHETIC.read_text().splitlines()
    shuffled = tmp_path / "shuffled.csv"
    shuffled.write_text("\n".join([head, *rows[100:], *rows[:100]]))
    assert replay(shuffled, RACK_A, "first-free") == replay(SYNTHETIC, RACK_A, "first-free")


def test_other_forms_of_csv(tmp_path: Path) -> None:
    """A BOM, quotes, CRLF, columns in another order, decimal seconds and a blank line at the end are fine."""
    path = tmp_path / "trace.csv"
    path.write_bytes(
        b'\xef\xbb\xbfOp,"unit",sku,seq,time_s,remark\r\n'
        b'in,"a",x,0,0.0,"one, two"\r\nin,b,x,1,1.5,\r\nout,a,x,2,2.25,\r\n\r\n'
    )
    # Unit b arrives at the second slot, 0.6 s; unit a leaves the first, 0.3 s.
    # One unit for 1.5 s, two for 0.75 s: 3 unit-seconds in 2.25 s.
    result = replay(path, RACK_A, "closest-open")
    assert (result["moves"], result["total_s"], result["mean_occupancy"]) == (2, 0.9, 3 / 2.25)


def test_unit_comes_back(tmp_path: Path) -> None:
    """A unit that has left may arrive again."""
    path = write(tmp_path / "t.csv", "0,0,in,a,x,1\n1,5,out,a,x,1\n2,9,in,a,x,1\n")
    assert replay(path, RACK_A, "closest-open")["total_s"] == 0.6


def test_only_time_zero(tmp_path: Path) -> None:
    """A trace without a scored move has no time a move, and an occupancy without a duration."""
    path = write(tmp_path / "t.csv", "0,0,in,a,x,1\n1,0,in,b,x,1\n")
    assert replay(path, RACK_A, "closest-open") == {
        "policy": "closest-open", "moves": 0, "total_s": 0.0, "per_move_s": None,
        "peak": 2, "final": 2, "mean_occupancy": 2.0,
    }  # fmt: skip


# -- Faults -------------------------------------------------------------------------------------------

FAULTS = {
    "absent unit leaves": (
        "0,0,in,a,x,1\n1,5,out,b,x,1\n",
        ["3: unit: expected a unit that is in the store, found 'b', which is not"],
    ),
    "unit arrives twice": (
        "0,0,in,a,x,1\n1,5,in,a,x,1\n",
        ["3: unit: expected a unit that is not in the store, found 'a', which is"],
    ),
    "time goes back": (
        "0,7.5,in,a,x,1\n1,5,in,b,x,1\n",
        ["3: time_s: expected at least 7.5 s, the time before, found 5 s"],
    ),
    "another sku": (
        "0,0,in,a,x,1\n1,5,out,a,y,1\n",
        ["3: sku: expected 'x', with which unit 'a' arrived, found 'y'"],
    ),
    "unknown op": (
        "0,0,inn,a,x,1\n1,0,move,b,x,1\n",
        [
            "2: op: expected in or out, found 'inn', did you mean 'in'?",
            "3: op: expected in or out, found 'move'",
        ],
    ),
    "numbers": (
        "0.5,-1,in,,x,1\n٣,nan,in,b,,1\n1,1e3,in,c,x,1\n2,99999999999,in,d,x,1\n",
        [
            "2: seq: expected a whole number, not below 0, found '0.5'",
            "2: time_s: expected seconds from 0 to 1e+10, found '-1'",
            "2: unit: expected a name or number, found nothing",
            "3: seq: expected a whole number, not below 0, found '٣'",
            "3: time_s: expected seconds from 0 to 1e+10, found 'nan'",
            "3: sku: expected a name or number, found nothing",
            "4: time_s: expected seconds from 0 to 1e+10, found '1e3'",
            "5: time_s: expected seconds from 0 to 1e+10, found '99999999999'",
        ],
    ),
    "same seq": (
        "4,0,in,a,x,1\n4,5,in,b,x,1\n",
        ["3: seq: expected each number once, found 4 as in row 2"],
    ),
    "short row": ("0,0,in,a\n", ["2: expected 6 cells, found 4"]),
    "no rows": ("", [" expected rows of arrivals and departures, found none"]),
    "open quote": ('0,0,in,"a,x,1\n', [" expected CSV, found unexpected end of data"]),
    "long line": (
        "0,0,in,a,x," + "1" * 20_000,
        ["2: expected a line of text of less than 10,000 characters, found a longer one"],
    ),
    "zero byte": (
        "0,0,in,a\0,x,1\n",
        ["2: expected a line of text of less than 10,000 characters, found a zero byte"],
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_faults_by_row(tmp_path: Path, case: str) -> None:
    """Every fault of a trace is named with its file, row and column, all of them at once."""
    rows, lines = FAULTS[case]
    path = write(tmp_path / "t.csv", rows)
    with pytest.raises(TraceError) as caught:
        replay(path, RACK_A, "closest-open")
    assert caught.value.lines == [f"{path}:{line}" for line in lines]


def test_missing_columns(tmp_path: Path) -> None:
    """Missing and doubled columns are named, with the near miss."""
    path = write(tmp_path / "t.csv", "0,0,in,a,x\n", head="seq,time,op,op,units\n")
    with pytest.raises(TraceError) as caught:
        read_events(path)
    assert caught.value.lines == [
        f"{path}:1: time_s: expected a column of this name, found none, did you mean 'time'?",
        f"{path}:1: op: expected one column of this name, found 2",
        f"{path}:1: unit: expected a column of this name, found none, did you mean 'units'?",
        f"{path}:1: sku: expected a column of this name, found none",
    ]


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("empty.csv", b"", "expected the columns seq, time_s, op, unit, sku, found an empty file"),
        ("gb.csv", "seq,unit\n0,电表\n".encode("gb18030"), "expected UTF-8 text, found the byte 0xb5"),
        ("utf16.csv", "seq,time_s".encode("utf-16"), "expected UTF-8 text, found the byte 0xff"),
        ("no.csv.gz", b"seq,time_s\n", "expected a whole gzip file, found Not a gzipped file (b'se')"),
        (
            "torn.csv.gz",
            gzip.compress(SYNTHETIC.read_bytes())[:500],
            "expected a whole gzip file, found Compr",
        ),
    ],
)
def test_files_that_are_no_trace(tmp_path: Path, name: str, content: bytes, text: str) -> None:
    """Empty, wrongly encoded and torn files are named in words."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TraceError) as caught:
        read_events(path)
    (line,) = caught.value.lines
    assert line.startswith(f"{path}: {text}")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file and a folder are named in words."""
    for path, text in [(tmp_path / "none.csv", "No such file or directory"), (tmp_path, "Is a directory")]:
        with pytest.raises(TraceError) as caught:
            read_events(path)
        assert caught.value.lines == [f"{path}: expected a readable file, found {text}"]


def test_store_is_full(tmp_path: Path) -> None:
    """The unit that finds no slot is named by its row."""
    path = write(tmp_path / "t.csv", "".join(f"{k},{k},in,{k},x,1\n" for k in range(259)))
    with pytest.raises(TraceError) as caught:
        replay(path, RACK_A, "closest-open")
    where = f"{path}:260: op: expected a departure or room for a unit"
    assert caught.value.lines == [f"{where}, found an arrival with all 258 places taken"]


def test_faults_are_bounded(tmp_path: Path) -> None:
    """A file that is wrong throughout gives a page of faults, not a flood."""
    path = write(tmp_path / "t.csv", "x\n" * 5000)
    with pytest.raises(TraceError) as caught:
        read_events(path)
    assert len(caught.value.lines) == MOST_FAULTS + 1
    assert caught.value.lines[-1] == f"{path}: reading stopped after 20 faults"


def test_unknown_policy() -> None:
    """A rule that does not exist is refused with the near miss."""
    line = r"^policy: expected one of .*, found 'closest', did you mean 'closest-open'\?$"
    with pytest.raises(TraceError, match=line):
        replay(SYNTHETIC, RACK_A, "closest")
