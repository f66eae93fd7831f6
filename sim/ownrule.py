"""Allocation rules from a file of the user's own, as FILE.py:FUNCTION, held to what every rule keeps.

A rule is a function (box, view, stream) -> slot, or a `Rule` around one. It is found by running the file,
which may do whatever its user may: only the command line loads one, no scenario file and nothing over HTTP.
What the function returns is checked each time, and `check_rule` puts any rule through small stores in many
states.

Left out: other files. A rule is one file, so that its SHA-256 in a result says what was run.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from sim.allocation import OWN_RULES, BoxView, Rule, SlotIndex, SlotView, allocate_batch
from sim.facts import NONE
from sim.layout import Layout, LayoutParams
from sim.slots import Stack
from sim.streams import Stream
from sim.travel import Travel
from sim.turnover import Turnover
from sim.words import near, one_of, printable, show

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEEDS: Final = ("departures", "travel")
"""What a rule may declare that it needs."""

MOST_BYTES: Final = 1_000_000
"""A larger file is refused."""

_NAME: Final = re.compile(r"(.+\.py):(.*)", re.DOTALL)
_PARAMETERS: Final = {
    "choose": "(box, view, stream)",
    "batch": "(boxes, view, stream)",
    "column": "(box, view, slot)",
}
_LONGEST_MESSAGE: Final = 200
_MODULES: Final[dict[tuple[str, str], ModuleType]] = {}


class OwnRuleError(ValueError):
    """A rule that cannot be loaded or did what no rule may; `lines` has one line a mistake."""

    def __init__(self, lines: list[str]) -> None:
        # SimPy makes a copy of an error out of its arguments.
        super().__init__(lines)
        self.lines = lines

    def __str__(self) -> str:
        return "\n".join(self.lines)


# --- loading ---------------------------------------------------------------------------------------------


def is_own(name: str) -> bool:
    """Whether a name means a rule of a file (FILE.py:FUNCTION), not one of the program."""
    return _NAME.fullmatch(name) is not None or name.endswith(".py")


def short_name(text: str) -> str:
    """FILE.py:FUNCTION without the folder of the file, as results have it: they tell nothing of a machine."""
    file, _, function = text.rpartition(":")
    return f"{Path(file).name}:{function}"


def load_rule(text: str, name: str | None = None) -> Rule:
    """Run the file of a text FILE.py:FUNCTION and put its rule into `OWN_RULES`, under the text or a name.

    The function may also be a `Rule`. A file that was run before and has not changed is not run again.

    Raises
    ------
    OwnRuleError
        For a file that is none, that is not Python or cannot be run to its end, for a function that is not
        there or takes other parameters than (box, view, stream); one line a mistake.
    """
    match = _NAME.fullmatch(text)
    if match is None or not match[2]:
        raise OwnRuleError([f"{printable(text)}: expected FILE.py:FUNCTION, found no function"])
    file, function = match[1], match[2]
    raw = _read(file)
    source = _Source(file, function, sha256(raw).hexdigest())
    rule = _rule_of(_module(source, raw), source)
    OWN_RULES[text if name is None else name] = rule
    return rule


def file_of(name: str) -> dict[str, str] | None:
    """The name and the SHA-256 of the file of an own rule; None for any other rule."""
    choose = OWN_RULES[name].choose if name in OWN_RULES else None
    if not isinstance(choose, OwnChoice):
        return None
    return {"file": Path(choose.source.file).name, "sha256": choose.source.sha256}


@contextmanager
def placeholder(name: str) -> Iterator[None]:
    """Let a name pass for that of an own rule while the result of a run is read; nothing can run with it."""
    if name in OWN_RULES:
        yield
        return
    OWN_RULES[name] = Rule(partial(_refuse, name))
    try:
        yield
    finally:
        del OWN_RULES[name]


def _refuse(name: str, *_: object) -> int:
    raise OwnRuleError([f"{printable(name)}: expected the file of the rule, found only the results of a run"])


class _Source(NamedTuple):
    """Where a rule comes from."""

    file: str
    function: str
    sha256: str

    def at(self, line: int) -> str:
        """The file with a line of it, and the function."""
        return f"{printable(self.file)}{f':{line}' * bool(line)}: {printable(self.function)}"


def _read(file: str) -> bytes:
    path, shown, wanted = Path(file), printable(file), "expected a Python file with a rule"
    try:
        if path.is_file():
            with path.open("rb") as opened:
                raw = opened.read(MOST_BYTES + 1)
            if len(raw) > MOST_BYTES:
                raise OwnRuleError([f"{shown}: {wanted} of at most {MOST_BYTES:,} bytes, found more"])
            return raw
        found = "a folder" if path.is_dir() else "a device or pipe" if path.exists() else "none"
        others = [other.name for other in path.parent.glob("*.py")] if found == "none" else []
    except OwnRuleError:
        raise
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise OwnRuleError([f"{shown}: expected a file that can be read, found: {reason}"]) from None
    raise OwnRuleError([f"{shown}: {wanted}, found {found}{near(path.name, others)}"])


def _module(source: _Source, raw: bytes) -> ModuleType:
    """The file as a module, run once."""
    key = (source.file, source.sha256)
    if key in _MODULES:
        return _MODULES[key]
    shown = printable(source.file)
    try:
        code = compile(raw, source.file, "exec", dont_inherit=True)
    except SyntaxError as error:
        where = f"{shown}:{error.lineno}" if error.lineno else shown
        raise OwnRuleError([f"{where}: expected Python, found {_cut(error.msg)}"]) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise OwnRuleError([f"{shown}: expected Python, found {_words_of(error)}"]) from None
    # Its functions find it by this name, as those of any module do; no module of ours has a hyphen.
    module = ModuleType(f"own-rules-{source.sha256[:16]}")
    module.__file__ = source.file
    module.__dict__["print"] = _print
    sys.modules[module.__name__] = module
    try:
        exec(code, module.__dict__)  # noqa: S102 - the user's own file, named on the command line
    except (Exception, SystemExit) as error:
        sys.modules.pop(module.__name__, None)
        line = _line_in(source.file, error)
        where = f"{shown}:{line}" if line else shown
        raise OwnRuleError(
            [f"{where}: expected a file that runs to its end, found {_words_of(error)}"]
        ) from error
    _MODULES[key] = module
    return module


def _print(*values: object, **options: Any) -> None:
    """What a rule prints goes to standard error: standard output is for results."""
    print(*values, **{"file": sys.stderr, **options})  # noqa: T201


def _rule_of(module: ModuleType, source: _Source) -> Rule:
    here = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    rules = [
        name
        for name, value in here.items()
        if isinstance(value, Rule) or (inspect.isfunction(value) and value.__module__ == module.__name__)
    ]
    shown = printable(source.file)
    if source.function not in vars(module):
        meant = near(source.function, rules) or (f"; there is {one_of(rules)}" if rules else "")
        raise OwnRuleError([f"{shown}: expected the function {show(source.function)}, found none{meant}"])
    value = vars(module)[source.function]
    rule = value if isinstance(value, Rule) else Rule(value, source=f"own rule, {Path(source.file).name}")
    faults = list(_faults(rule, source))
    if faults:
        raise OwnRuleError(faults)
    return rule._replace(
        choose=OwnChoice(rule.choose, source),
        needs=frozenset(rule.needs),
        batch=None if rule.batch is None else OwnBatch(rule.batch, source),
        column=None if rule.column is None else OwnColumn(rule.column, source),
    )


def _faults(rule: Rule, source: _Source) -> Iterator[str]:
    for part, parameters in _PARAMETERS.items():
        function = getattr(rule, part)
        if part == "choose" or function is not None:
            yield from _function_faults(function, part, parameters, source)
    needs: Any = rule.needs
    if isinstance(needs, str) or not isinstance(needs, frozenset | set | list | tuple):
        yield f"{source.at(0)}: needs: expected a set of {one_of(NEEDS)}, found {show(needs)}"
    else:
        for need in needs:
            if need not in NEEDS:
                found = f"{show(need)}{near(need, NEEDS)}"
                yield f"{source.at(0)}: needs: expected {one_of(NEEDS)}, found {found}"


def _function_faults(function: Any, part: str, parameters: str, source: _Source) -> Iterator[str]:
    where = f"{source.at(_first_line(function))}{f': {part}' * (part != 'choose')}"
    if not callable(function):
        yield f"{where}: expected a function or a Rule, found {show(function)}"
        return
    kinds = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)
    if any(is_kind(function) for is_kind in kinds):
        yield f"{where}: expected a plain function, found one that awaits or yields"
        return
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # one that tells nothing of itself; what it returns is looked at
    try:
        signature.bind(None, None, None)
    except TypeError:
        found = _cut(str(signature).partition(" -> ")[0])
        yield f"{where}: expected the parameters {parameters}, found {found}"


# --- while it runs ---------------------------------------------------------------------------------------


class _Held:
    """A function of the user's, held to what it may return."""

    def __init__(self, function: Callable[..., Any], source: _Source) -> None:
        self.source = source
        self._function = function
        self.__doc__ = getattr(function, "__doc__", None)

    def _refused(self, wanted: str, found: object) -> OwnRuleError:
        """The error for something that it must not return; its first line is all that is known of where."""
        return OwnRuleError(
            [f"{self.source.at(_first_line(self._function))}: expected {wanted}, found {found}"]
        )

    def _failed(self, wanted: str, error: BaseException) -> OwnRuleError:
        """The error for one that happened inside."""
        line = _line_in(self.source.file, error) or _first_line(self._function)
        return OwnRuleError([f"{self.source.at(line)}: expected {wanted}, found {_words_of(error)}"])


class OwnChoice(_Held):
    """A user's function for one box: gives an open slot or NONE, or raises OwnRuleError with one line."""

    def __call__(self, box: BoxView, view: SlotView, stream: Stream) -> int:
        """The slot that the function names for a box, as an int."""
        try:
            slot = self._function(box, view, stream)
        except (Exception, SystemExit) as error:
            raise self._failed(f"a slot for box {box.box}", error) from error
        if type(slot) is not int:
            slot = self._whole(slot, box)
        if slot != NONE and not (0 <= slot < view.slots and view.is_open(slot)):
            raise self._refused(f"an open slot or NONE for box {box.box}", _why_not(slot, box, view))
        return slot

    def _whole(self, slot: Any, box: BoxView) -> int:
        """Whole numbers of numpy and of other kinds as int; nothing else is a slot."""
        if isinstance(slot, int | np.integer) and not isinstance(slot, bool):
            return int(slot)
        raise self._refused(f"a slot's number or NONE for box {box.box}", _shown(slot))


class OwnBatch(_Held):
    """A user's function for several boxes: gives a place for each or NONE, or raises OwnRuleError."""

    def __call__(self, boxes: Sequence[BoxView], view: SlotView, stream: Stream) -> "NDArray[np.int64]":
        """The slots that the function names, (boxes,)."""
        many = f"{len(boxes):,} boxes from box {boxes[0].box} on"
        try:
            named = self._function(boxes, view, stream)
        except (Exception, SystemExit) as error:
            raise self._failed(f"slots for {many}", error) from error
        try:
            slots = np.asarray(named)
        except (ValueError, TypeError):
            slots = np.empty(0)
        if slots.shape != (len(boxes),) or slots.dtype.kind not in "iu":
            is_array = isinstance(named, np.ndarray)
            found = f"an array {slots.shape} of {slots.dtype}" if is_array else _shown(named)
            raise self._refused(f"a slot's number or NONE for each of {many}", found)
        taken: dict[int, int] = {}
        for box, slot in zip(boxes, slots.tolist(), strict=True):
            if slot == NONE:
                continue
            wanted = f"an open slot or NONE for box {box.box} of {many}"
            if not (0 <= slot < view.slots and view.is_open(slot)):
                raise self._refused(wanted, _why_not(slot, box, view))
            taken[slot] = taken.get(slot, 0) + 1
            if taken[slot] > view.room(slot):
                raise self._refused(wanted, f"{_slot(slot, view)} named more often than it has room")
        return slots.astype(np.int64)


class OwnColumn(_Held):
    """A user's function for the stack of a slot: gives one with room or NONE, or raises OwnRuleError.

    It is asked where boxes stand on one another; elsewhere each box has a support of its own.
    """

    def __call__(self, box: BoxView, view: SlotView, slot: int) -> int:
        """The stack that the function names, as an int."""
        stacks = view.stacks(slot)
        if not stacks:
            return NONE
        wanted = f"a stack with room in {_slot(slot, view)} or NONE for box {box.box}"
        try:
            column = self._function(box, view, slot)
        except (Exception, SystemExit) as error:
            raise self._failed(wanted, error) from error
        if not isinstance(column, int | np.integer) or isinstance(column, bool):
            raise self._refused(wanted, _shown(column))
        column = int(column)
        if column == NONE:
            return NONE
        if not 0 <= column < len(stacks):
            raise self._refused(wanted, f"stack {column} of {len(stacks)}")
        if stacks[column].room <= 0:
            raise self._refused(wanted, f"stack {column}, which is full")
        return column


def _why_not(slot: int, box: BoxView, view: SlotView) -> str:
    """A slot that was named and must not be, in words."""
    if not 0 <= slot < view.slots:
        return f"slot {show(slot)} of a store with slots 0 to {view.slots - 1:,}"
    index = view._index
    admits = index.admits[view._box_class]
    if admits is not None and not admits[slot]:
        reason = f"does not take boxes of SKU {box.sku}"
    else:
        reason = "is out of use" if view.room(slot) else "has no room"
    return f"{_slot(slot, view)}, which {reason}"


def _slot(slot: int, view: SlotView) -> str:
    return f"slot {slot} ({view._index.layout.names[slot]})"


def _shown(value: object) -> str:
    """A value that is no slot, in words."""
    if isinstance(value, float):
        return f"{float(value)}, which is no whole number"
    is_plain = value is None or isinstance(value, bool | str | list | tuple | dict)
    return show(value) if is_plain else f"a value of type {printable(type(value).__name__)}"


def _first_line(function: Any) -> int:
    """The line at which a function begins; 0 when it does not tell."""
    if isinstance(function, partial):
        function = function.func
    return int(getattr(getattr(function, "__code__", None), "co_firstlineno", 0))


def _line_in(file: str, error: BaseException) -> int:
    """The last line of a file that an error passed through; 0 when there is none."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _words_of(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an error of the user's that cannot even be printed
        text = ""
    return _cut(f"{type(error).__name__}{f': {text}' * bool(text)}")


def _cut(text: str) -> str:
    return printable(text if len(text) <= _LONGEST_MESSAGE else f"{text[: _LONGEST_MESSAGE - 3]}...")


# --- what every rule keeps to ----------------------------------------------------------------------------


class Check(NamedTuple):
    """One thing that a rule keeps to or not, and what was seen."""

    check: str
    ok: bool
    finding: str


def check_rule(rule: Rule, name: str) -> list[Check]:
    """Put a rule through small stores in many states: what every rule keeps to, and whether this one does.

    The stores have slots of 0 to 3 places, SKUs of several speeds, slots out of use, slots for one class of
    boxes only, free stacks, one slot; they are empty, full and between. The same rule gives the same list.
    """
    if not isinstance(rule.choose, OwnChoice):
        code = getattr(rule.choose, "__code__", None)
        source = _Source(Path(getattr(code, "co_filename", name)).name, name, "")
        rule = rule._replace(
            choose=OwnChoice(rule.choose, source),
            batch=None if rule.batch is None else OwnBatch(rule.batch, source),
            column=None if rule.column is None else OwnColumn(rule.column, source),
        )
    found = []
    for title, look in _CHECKS.items():
        try:
            ok, finding = look(rule)
        except OwnRuleError as error:
            ok, finding = False, error.lines[0]
        found.append(Check(title, ok, finding))
    return found


def _names_open_slots(rule: Rule) -> tuple[bool, str]:
    asked, stores = 0, 0
    for store in _stores(rule):
        stores += 1
        for box in store.boxes:
            store.ask(rule, box)
            asked += 1
    return True, f"{asked:,} boxes in {stores} stores, from empty to full"


def _names_none(rule: Rule) -> tuple[bool, str]:
    asked, left = 0, 0
    for store in _stores(rule):
        for box in store.boxes:
            is_open = store.view_of(box).first_open() != NONE
            asked += is_open
            left += is_open and store.ask(rule, box)[0] == NONE
    if not left:
        return True, "only when no slot is open to the box"
    return True, f"also for {left:,} of {asked:,} boxes to which a slot is open: they wait (allowed)"


def _answers_alike(rule: Rule) -> tuple[bool, str]:
    for store, again in zip(_stores(rule), _stores(rule), strict=True):
        first = [store.ask(rule, box) for box in store.boxes]
        rounds = {
            "asked again": [store.ask(rule, box) for box in store.boxes[::-1]][::-1],
            "in a second store of the same state": [again.ask(rule, box) for box in store.boxes],
        }
        for when, second in rounds.items():
            for box, before, after in zip(store.boxes, first, second, strict=True):
                if before != after:
                    seen = f"slot {before[0]} for box {box.box}, {when} slot {after[0]} ({store.name})"
                    return False, f"{seen}; keep nothing between boxes, draw with stream.uniform(box.box)"
    return True, "the same slots, asked again and in a second store of the same state"


def _changes_nothing(rule: Rule) -> tuple[bool, str]:
    for store in _stores(rule):
        before = store.state()
        for box in store.boxes:
            store.ask(rule, box)
            after = store.state()
            # What the rule asks for is made when it first asks; it may add orders, and change none.
            changed = [what for what, value in before.items() if after[what] != value]
            if changed:
                return False, f"box {box.box} changed {' and '.join(changed)} ({store.name})"
            before = after
    return True, "room, lots, orders and stays are as before"


def _starts_a_store(rule: Rule) -> tuple[bool, str]:
    store = _Store("an empty store", rule, 0.0)
    named = [store.ask(rule, box)[0] for box in store.boxes]
    if NONE in named:
        return False, f"none for {named.count(NONE)} of {len(named)} boxes, though all slots are empty"
    return True, f"a slot for each of {len(named)} boxes"


def _ends_a_store(rule: Rule) -> tuple[bool, str]:
    store = _Store("a full store", rule, 1.0)
    for box in store.boxes:
        store.ask(rule, box)
    return True, "none for any box"


def _fills_one_slot(rule: Rule) -> tuple[bool, str]:
    store = _Store("one slot", rule, 0.0, rows=1, columns=1, levels=1)
    return _filled(rule, store, range(store.places))


def _fills_a_store(rule: Rule) -> tuple[bool, str]:
    store = _Store("a store that fills", rule, 0.0)
    return _filled(rule, store, range(store.places))


def _filled(rule: Rule, store: "_Store", numbers: range) -> tuple[bool, str]:
    """Box after box until the rule names none, then once more; more than half of the places is good."""
    taken = 0
    for number in numbers:
        box = store.box(number)
        slot, column = store.ask(rule, box)
        if slot == NONE:
            break
        store.put(box, slot, column)
        taken += 1
    store.ask(rule, store.box(len(numbers)))
    finding = f"{taken:,} of {_count(store.places, 'place')} taken, then none"
    return 2 * taken > store.places, finding


def _decides_batches(rule: Rule) -> tuple[bool, str]:
    """Legal places for several at once: the same as one by one, except where a rule sees them `at_once`."""
    differ = asked = 0
    for store in _stores(rule):
        store.index.announced = lambda: ()
        for box in store.boxes:
            alone, batch = store.ask(rule, box)[0], allocate_batch(rule, [box], store.index, store.stream)
            if batch.tolist() != [alone]:
                return False, f"alone slot {alone} for box {box.box}, as a batch of one {batch.tolist()}"
        in_turn = store.boxes_in_turn(rule)
        batch = allocate_batch(rule, store.boxes, store.index, store.stream)
        asked += len(in_turn)
        differ += sum(a != b for a, b in zip(in_turn, batch.tolist(), strict=True))
    if not differ:
        return True, f"the same slots for {asked:,} boxes as one by one"
    seen = f"other slots for {differ:,} of {asked:,} boxes than one by one"
    return rule.at_once, f"{seen}: it decides at once" if rule.at_once else f"{seen}, without at_once"


_CHECKS: Final[dict[str, Callable[[Rule], tuple[bool, str]]]] = {
    "names open slots": _names_open_slots,
    "names none": _names_none,
    "answers alike": _answers_alike,
    "changes nothing": _changes_nothing,
    "an empty store": _starts_a_store,
    "a full store": _ends_a_store,
    "a store of one slot": _fills_one_slot,
    "fills a store": _fills_a_store,
    "decides batches": _decides_batches,
}

_DEMAND: Final = (6.0, 3.0, 2.0, 1.0)
_STOCK: Final = (2.0, 3.0, 1.0, 2.0)
_HOUR_MS: Final = 3_600_000
_FIRST_DAY: Final = 739_000
_DAYS: Final = 90


class _Robot(NamedTuple):
    """How the robot of the small stores moves."""

    axes: str = "sequential"
    speed_m_per_s: float = 1.5
    acceleration_m_per_s2: float = 0.7
    lift_speed_m_per_s: float = 0.5
    lift_acceleration_m_per_s2: float = 0.5
    turn_s: float = 4.0


def _stores(rule: Rule) -> Iterator["_Store"]:
    """Small stores, from empty to full."""
    for fill in (0.0, 0.3, 0.6, 0.9, 1.0):
        percent = f"{fill:.0%}".replace("%", " % full")
        yield _Store(percent, rule, fill)
        yield _Store(f"{percent}, slots out of use", rule, fill, blocked=True)
        yield _Store(f"{percent}, slots of one class", rule, fill, classes=True)
        yield _Store(f"{percent}, free stacks", rule, fill, stacked=True)
        yield _Store(f"one slot, {percent}", rule, fill, rows=1, columns=1, levels=1)


class _Store:
    """A small store in some state, and boxes that want to go in."""

    def __init__(
        self, name: str, rule: Rule, fill: float, *,
        rows: int = 4, columns: int = 4, levels: int = 2,
        blocked: bool = False, classes: bool = False, stacked: bool = False,
    ) -> None:  # fmt: skip
        self.name = name
        self.stream = Stream(1, "policy.allocation")
        self._knows = "departures" in rule.needs
        self._draw = Stream(1, f"check {name}").uniform
        is_small = rows * columns * levels == 1
        params: dict[str, Any] = {} if is_small else {
            "capacity": [
                {"columns": [2], "boxes": 2}, {"columns": [columns], "boxes": 1},
                {"rows": [1], "columns": [1], "levels": [1], "boxes": 0},
            ],
            "restricted": [{"columns": [1, 2], "devices": ["three-phase"]}] if classes else [],
        }  # fmt: skip
        self._layout = layout = Layout(
            LayoutParams(
                rows=rows, columns=columns, levels=levels, profile="uniform", boxes_per_slot=3, **params
            ),
            meters_per_box=15, box_height_m=0.2, access="stack_lifo" if stacked else "direct", robots=1,
        )  # fmt: skip
        self.places = layout.boxes
        travel = Travel(layout, _Robot())
        admits = [layout.admits(device, 10_000) for device in ("single-phase", "three-phase")[: 1 + classes]]
        self.index = index = SlotIndex(
            layout, travel.one_way_ms(layout.inbound).tolist(), Turnover(_DEMAND, _STOCK), travel=travel,
            admits=admits, class_of_sku=[sku % len(admits) for sku in range(len(_DEMAND))],
        )  # fmt: skip
        self._stacks = [[Stack((), height) for height in heights] for heights in layout.stacks]
        if stacked:
            index.stacks = lambda slot: list(self._stacks[slot])
        index.leaves_ms = lambda box: float(box * 7919 % 1009 * _HOUR_MS)
        index.shorter_stays = lambda stay_ms: min(index.stays.boxes, stay_ms // _HOUR_MS)
        index.plan = [box % layout.slots for box in range(10 * self.places + 100)]
        index.weights_g = (8_000, 12_000)
        if blocked:
            for slot in range(0, layout.slots, 3):
                index.block(slot, True)
        self._fill(fill, index)
        self.boxes = [self.box(2 * self.places + k) for k in range(12)]
        taken = [slot for slot in range(layout.slots) if index.room[slot] < index.capacity[slot]]
        index.next_retrieval = lambda: taken[0] if taken else NONE
        index.announced = lambda: self.boxes[:3]

    def _fill(self, fill: float, index: SlotIndex) -> None:
        """Take places at random, from slots that the box may go to or, when none is left, from any."""
        for k in range(round(fill * self.places)):
            box = self.box(k)
            slots = [slot for slot, room in enumerate(index.room) if room > 0]
            view = self.view_of(box)
            mine = [slot for slot in slots if view.is_open(slot)] or slots
            self.put(box, mine[int(self._draw(k, 1) * len(mine))], NONE)
            if k % 5 == 4:
                # Some have been here before, so that stays of the SKUs differ.
                index.stays.arrived(box.sku, box.now_ms, box.verified_day)
                index.stays.left(box.sku, box.now_ms + (1 + box.sku) * _HOUR_MS, box.verified_day)

    def box(self, number: int) -> BoxView:
        """A box with its SKU, lot, age and weight drawn."""
        sku = int(self._draw(number, 2) * len(_DEMAND))
        now_ms = 10 * _HOUR_MS * (1 + number)
        leaves_ms = now_ms + int(self._draw(number, 3) * 50) * _HOUR_MS if self._knows else NONE
        day = _FIRST_DAY + int(self._draw(number, 4) * _DAYS)
        weight_g = 8_000 + int(self._draw(number, 5) * 4_000)
        return BoxView(number, sku, sku * 2 + number % 2, day, 15, now_ms, leaves_ms, weight_g)

    def view_of(self, box: BoxView) -> SlotView:
        """The slots that may take a box."""
        return self.index.view_of(box.sku)

    def ask(self, rule: Rule, box: BoxView) -> tuple[int, int]:
        """The slot that the rule names for a box, and the stack in it; NONE where there is none."""
        view = self.view_of(box)
        slot = rule.choose(box, view, self.stream)
        column = NONE if slot == NONE or rule.column is None else rule.column(box, view, slot)
        return slot, column

    def put(self, box: BoxView, slot: int, column: int) -> None:
        """Put a box into a slot."""
        stacks = self._stacks[slot]
        if column == NONE:
            column = next(k for k, stack in enumerate(stacks) if stack.room > 0)
        stacks[column] = Stack((*stacks[column].boxes, box.box), stacks[column].room - 1)
        self.index.take(slot, box.lot)
        self.index.stays.arrived(box.sku, box.now_ms, box.verified_day)

    def boxes_in_turn(self, rule: Rule) -> list[int]:
        """The slots of the boxes, each place reserved before the next box is asked for; all given back."""
        named = []
        with self.index.trial() as place:
            for box in self.boxes:
                slot, column = self.ask(rule, box)
                if slot != NONE:
                    place(box, slot, column)
                named.append(slot)
        return named

    def state(self) -> dict[str, object]:
        """All that a rule must not change, by what it is called."""
        index, stays = self.index, self.index.stays
        orders = {
            f"the order {name} of class {box_class}": (*order.slots, *order.rank, *order.open)
            for (name, box_class), order in sorted(index._orders.items())
        }
        right = all(
            order.open[order.rank[slot]] == (index.is_open(slot) and self._admits(box_class, slot))
            for (_, box_class), order in index._orders.items()
            for slot in range(len(index.room))
        )
        return {
            "the room of slots": (*index.room, *index.capacity),
            "the lots in slots": {lot: dict(slots) for lot, slots in index.lots.items()},
            "which slots are out of use": dict(index._blocked),
            "the times from the port": tuple(index.port_time_ms),
            "the turnover of SKUs": (*index.turnover.demand, *index.turnover.stock),
            "the boxes in the store": (*stays.here, stays.boxes, *stays.left_boxes),
            "their ages": [stays.boxes_due_before(day) for day in range(_FIRST_DAY, _FIRST_DAY + _DAYS, 5)],
            "their stays": stays.stays_ms(10**12),
            "the stacks": [list(stacks) for stacks in self._stacks],
            "the zones": (index.online, index.zones, *index.borders, index.overflow),
            "the open slots of an order": right,
            **orders,
        }

    def _admits(self, box_class: int, slot: int) -> bool:
        admits = self.index.admits[box_class]
        return admits is None or admits[slot] == 1


def _count(number: int, one: str) -> str:
    return f"{number:,} {one}{'s' * (number != 1)}"
