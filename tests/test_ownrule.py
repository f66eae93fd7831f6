"""Rules from a user's file: what loads, what is refused and in which words, and what every rule keeps to."""

import dataclasses
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.allocation import OWN_RULES, POLICIES, BoxView, SlotIndex, allocate_batch, rule_named
from sim.facts import NONE
from sim.ownrule import OwnRuleError, check_rule, file_of, is_own, load_rule, placeholder, short_name
from sim.scenario import ScenarioError, load
from sim.streams import Stream
from tests.worlds import layout_of

BOX = BoxView(7, 0, 0, 739_000, 15)
STREAM = Stream(1, "policy.allocation")
NEAREST = "def mine(box, view, stream):\n    return view.first_open()\n"
RIGHT = [
    "names open slots", "names none", "answers alike", "changes nothing", "an empty store", "a full store",
    "a store of one slot", "fills a store", "decides batches",
]  # fmt: skip


@pytest.fixture(autouse=True)
def own_rules():
    """No test leaves a rule behind."""
    yield
    OWN_RULES.clear()


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes a file of rules into an empty folder, in which the test then works; gives FILE.py:mine."""
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "my_rules.py") -> str:
        Path(name).write_text(dedent(text), encoding="utf-8")
        return f"{name}:mine"

    return write


def view_of(places=1, columns=3):
    """A store of one row with so many columns, and its view."""
    layout = layout_of(rows=1, columns=columns, levels=1, boxes_per_slot=places)
    index = SlotIndex(layout, range(columns))
    return index, index.views[0]


def refusal(text: str) -> list[str]:
    """The lines with which a rule is not loaded."""
    with pytest.raises(OwnRuleError) as caught:
        load_rule(text)
    assert str(caught.value) == "\n".join(caught.value.lines)
    return caught.value.lines


# --- loading -----------------------------------------------------------------------------------------------


class TestLoading:
    def test_function_becomes_a_rule(self, written):
        """A plain function of three parameters is a rule under the text that names it."""
        rule = load_rule(written(NEAREST))
        assert {"my_rules.py:mine": rule} == OWN_RULES
        assert rule_named("my_rules.py:mine") is rule
        assert rule(BOX, view_of()[1], STREAM) == 0
        assert rule.source == "own rule, my_rules.py"
        assert (rule.needs, rule.batch, rule.column, rule.at_once) == (frozenset(), None, None, False)

    def test_rule_is_taken_whole(self, written):
        """A `Rule` keeps what it says of itself, its batch and its column; needs may be any set."""
        text = written("""\
            import numpy as np
            from sim.allocation import Rule

            def choose(box, view, stream):
                return view.first_open()

            def batch(boxes, view, stream):
                return view.places(len(boxes))

            mine = Rule(choose, "a book", "none", {"travel"}, batch, lambda box, view, slot: 0, at_once=True)
            """)
        rule = load_rule(text)
        assert rule[1:4] == ("a book", "none", frozenset({"travel"}))
        assert rule.at_once
        index, view = view_of(places=2)
        boxes = [BOX._replace(box=k) for k in range(4)]
        assert allocate_batch(rule, boxes, index, STREAM).tolist() == [0, 0, 1, 1]
        assert rule.column(BOX, view, 0) == NONE  # each box has a support of its own

    def test_other_callables_are_functions(self, written):
        """Partial functions, objects that can be called and lambdas do; defaults make up for parameters."""
        text = written("""\
            from functools import partial

            def at(slot, box, view, stream, more=1):
                return slot

            class Any:
                def __call__(self, *of_them):
                    return 1

            mine, other, third = partial(at, 2), Any(), lambda *a: 0
            """)
        view = view_of()[1]
        assert load_rule(text)(BOX, view, STREAM) == 2
        assert load_rule("my_rules.py:other")(BOX, view, STREAM) == 1
        assert load_rule("my_rules.py:third")(BOX, view, STREAM) == 0

    def test_file_runs_once(self, written):
        """Two rules of a file share what it keeps; a file that has changed is run again."""
        text = written(
            "seen = []\ndef mine(b, v, s):\n    seen.append(1)\n    return len(seen)\nother = mine\n"
        )
        view = view_of()[1]
        first, other = load_rule(text), load_rule("my_rules.py:other")
        assert [first(BOX, view, STREAM), other(BOX, view, STREAM)] == [1, 2]
        assert load_rule(written(NEAREST))(BOX, view, STREAM) == 0

    def test_file_is_a_module(self, written):
        """Dataclasses and type hints find the file as a module; no byte code is left beside it."""
        text = written("""\
            from __future__ import annotations
            from dataclasses import dataclass, fields

            @dataclass
            class Slot:
                number: int = 2

            def mine(box, view, stream) -> int:
                return Slot().number
            """)
        assert load_rule(text)(BOX, view_of()[1], STREAM) == 2
        assert [path.name for path in Path.cwd().iterdir()] == ["my_rules.py"]
        assert dataclasses  # the same module that the file imports

    def test_name_may_differ(self, written):
        """What is registered is a name, if one is given."""
        rule = load_rule(written(NEAREST), "a.py:b")
        assert {"a.py:b": rule} == OWN_RULES

    def test_names_are_told_apart(self):
        """FILE.py:FUNCTION is an own rule, also without its function; a short name has no folder."""
        assert [is_own(text) for text in ("a.py:f", "x/a.py:f", "a.py:", "a.py", "a.pyx", "closest-open")] == [
            True, True, True, True, False, False,
        ]  # fmt: skip
        assert short_name("some/where/a.py:f") == "a.py:f"

    def test_prints_go_to_standard_error(self, written, capsys):
        """What a file and its rule print does not get among results."""
        load_rule(written("print('loaded')\ndef mine(b, v, s):\n    print('asked', b.box)\n    return 0\n"))
        rule_named("my_rules.py:mine")(BOX, view_of()[1], STREAM)
        printed = capsys.readouterr()
        assert (printed.out, printed.err) == ("", "loaded\nasked 7\n")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        # Not Python.
        ("def mine(box, view, stream)\n    return 0\n", "my_rules.py:1: expected Python, found expected ':'"),
        ("x = 1\n  y = 2\n", "my_rules.py:2: expected Python, found unexpected indent"),
        (b"\xff\xfe\n", "my_rules.py:1: expected Python, found (unicode error) 'utf-8' codec can't decode byte 0xff"),
        (b"x = '\x00'\n", "my_rules.py: expected Python, found"),
        ("(" * 300 + ")" * 300, "my_rules.py:1: expected Python, found too many nested parentheses"),
        # An error while it runs: its kind, its words and the line of the file.
        ("import json\n\njson.loads('x')\n", "my_rules.py:3: expected a file that runs to its end, found JSONDecodeError: "),
        ("def f():\n    raise KeyError('a\\nb')\nf()\n", "my_rules.py:2: expected a file that runs to its end, found KeyError: 'a\\nb'"),
        ("import helpers_of_mine\n", "my_rules.py:1: expected a file that runs to its end, found ModuleNotFoundError: No module named 'helpers_of_mine'"),
        ("raise SystemExit\n", "my_rules.py:1: expected a file that runs to its end, found SystemExit"),
        ("raise ValueError('x' * 999)\n", f"my_rules.py:1: expected a file that runs to its end, found ValueError: {'x' * 185}..."),
        ("class E(Exception):\n    def __str__(self):\n        1 / 0\nraise E\n", "my_rules.py:4: expected a file that runs to its end, found E"),
        # No such function.
        ("def mien(b, v, s):\n    return 0\n", "my_rules.py: expected the function 'mine', found none, did you mean 'mien'?"),
        ("from sim.slots import SlotView\ndef f(b, v, s): ...\ndef other(b, v, s): ...\n", "my_rules.py: expected the function 'mine', found none; there is 'f' or 'other'"),
        ("", "my_rules.py: expected the function 'mine', found none"),
        # Not a function of three parameters.
        ("mine = 3\n", "my_rules.py: mine: expected a function or a Rule, found 3"),
        ("mine = None\n", "my_rules.py: mine: expected a function or a Rule, found nothing"),
        ("import sys as mine\n", "my_rules.py: mine: expected a function or a Rule, found module"),
        ("\ndef mine(box, view):\n    return 0\n", "my_rules.py:2: mine: expected the parameters (box, view, stream), found (box, view)"),
        ("def mine(a, b, c, d): ...\n", "my_rules.py:1: mine: expected the parameters (box, view, stream), found (a, b, c, d)"),
        ("def mine(a, b, c, *, d): ...\n", "my_rules.py:1: mine: expected the parameters (box, view, stream), found (a, b, c, *, d)"),
        ("def mine() -> int: ...\n", "my_rules.py:1: mine: expected the parameters (box, view, stream), found ()"),
        ("async def mine(b, v, s): ...\n", "my_rules.py:1: mine: expected a plain function, found one that awaits or yields"),
        ("def mine(b, v, s):\n    yield 0\n", "my_rules.py:1: mine: expected a plain function, found one that awaits or yields"),
        # Rules.
        ("from sim.allocation import Rule\nmine = Rule(3)\n", "my_rules.py: mine: expected a function or a Rule, found 3"),
        (
            "from sim.allocation import Rule\nmine = Rule(lambda b, v, s: 0, batch=lambda b: 0, needs='travel')\n",
            (
                "my_rules.py:2: mine: batch: expected the parameters (boxes, view, stream), found (b)\n"
                "my_rules.py: mine: needs: expected a set of 'departures' or 'travel', found 'travel'"
            ),
        ),
        (
            "from sim.allocation import Rule\nmine = Rule(lambda b, v, s: 0, needs={'departure'}, column=7)\n",
            (
                "my_rules.py: mine: column: expected a function or a Rule, found 7\n"
                "my_rules.py: mine: needs: expected 'departures' or 'travel', found 'departure', did you mean 'departures'?"
            ),
        ),
    ],
)  # fmt: skip
def test_wrong_file_is_refused(written, content, line):
    """A file that gives no rule is refused with one line a mistake that says where, and nothing is registered."""
    before = set(sys.modules)
    written("")
    Path("my_rules.py").write_bytes(content if isinstance(content, bytes) else content.encode())
    found = refusal("my_rules.py:mine")
    assert len(found) == len(line.split("\n"))
    assert "\n".join(found).startswith(line)
    assert OWN_RULES == {}
    if "a file that runs to its end" in line:
        assert not [name for name in set(sys.modules) - before if name.startswith("own-rules-")]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("my_rules.py", "my_rules.py: expected FILE.py:FUNCTION, found no function"),
        ("my_rules.py:", "my_rules.py:: expected FILE.py:FUNCTION, found no function"),
        ("my_rule.py:mine", "my_rule.py: expected a Python file with a rule, found none, did you mean 'my_rules.py'?"),
        ("no/where.py:mine", "no/where.py: expected a Python file with a rule, found none"),
        ("folder.py:mine", "folder.py: expected a Python file with a rule, found a folder"),
        ("large.py:mine", "large.py: expected a Python file with a rule of at most 1,000,000 bytes, found more"),
        ("pipe.py:mine", "pipe.py: expected a Python file with a rule, found a device or pipe"),
        ("a\0b.py:mine", "a\\x00b.py: expected a Python file with a rule, found none"),
    ],
)  # fmt: skip
def test_wrong_path_is_refused(written, text, line):
    """What is no file, or too large, is refused with the nearest name; nothing is waited for."""
    import os

    written(NEAREST)
    Path("folder.py").mkdir()
    Path("large.py").write_bytes(b"#" * 1_000_001)
    os.mkfifo("pipe.py")
    assert refusal(text) == [line]


# --- while it runs -----------------------------------------------------------------------------------------


class TestAnswers:
    @pytest.mark.parametrize(
        "answer",
        ["1", "np.int64(1)", "np.uint8(1)", "np.arange(3)[1]", "IntEnum('E', 'a').a"],
    )
    def test_whole_numbers_are_slots(self, written, answer):
        """numpy's and other whole numbers become an int."""
        text = f"import numpy as np\nfrom enum import IntEnum\ndef mine(b, v, s):\n    return {answer}\n"
        slot = load_rule(written(text))(BOX, view_of()[1], STREAM)
        assert (slot, type(slot)) == (1, int)

    @pytest.mark.parametrize("answer", ["NONE", "np.int64(-1)", "-1"])
    def test_none_is_an_answer(self, written, answer):
        """A rule may let a box wait."""
        text = f"import numpy as np\nfrom sim.facts import NONE\ndef mine(b, v, s):\n    return {answer}\n"
        assert load_rule(written(text))(BOX, view_of()[1], STREAM) == NONE

    @pytest.mark.parametrize(
        ("answer", "line"),
        [
            ("None", "expected a slot's number or NONE for box 7, found nothing"),
            ("'1-01-1'", "expected a slot's number or NONE for box 7, found '1-01-1'"),
            ("True", "expected a slot's number or NONE for box 7, found true"),
            ("np.True_", "expected a slot's number or NONE for box 7, found a value of type bool"),
            ("1.0", "expected a slot's number or NONE for box 7, found 1.0, which is no whole number"),
            ("np.float64(1)", "expected a slot's number or NONE for box 7, found 1.0, which is no whole number"),
            ("[1]", "expected a slot's number or NONE for box 7, found [1]"),
            ("np.array([1])", "expected a slot's number or NONE for box 7, found a value of type ndarray"),
            ("v", "expected a slot's number or NONE for box 7, found a value of type SlotView"),
            ("3", "expected an open slot or NONE for box 7, found slot 3 of a store with slots 0 to 2"),
            ("-2", "expected an open slot or NONE for box 7, found slot -2 of a store with slots 0 to 2"),
            ("10**5000", "expected an open slot or NONE for box 7, found slot a number of far too many digits of a store with slots 0 to 2"),
            ("0", "expected an open slot or NONE for box 7, found slot 0 (1-01-1), which has no room"),
            ("2", "expected an open slot or NONE for box 7, found slot 2 (1-03-1), which is out of use"),
        ],
    )  # fmt: skip
    def test_other_answers_are_refused(self, written, answer, line):
        """What is no open slot is one line with file, line, box and slot."""
        rule = load_rule(written(f"import numpy as np\n\ndef mine(b, v, s):\n    return {answer}\n"))
        index, view = view_of()
        index.take(0)
        index.block(2, True)
        with pytest.raises(OwnRuleError) as caught:
            rule(BOX, view, STREAM)
        assert caught.value.lines == [f"my_rules.py:3: mine: {line}"]

    def test_slot_of_another_class(self, written):
        """A slot that does not take the box's class is not open to it."""
        rule = load_rule(written("def mine(b, v, s):\n    return 0\n"))
        layout = layout_of(rows=1, columns=2, levels=1)
        index = SlotIndex(layout, range(2), [1, 1], admits=[b"\1\1", b"\0\1"], class_of_sku=[0, 1])
        assert rule(BOX, index.view_of(0), STREAM) == 0
        with pytest.raises(
            OwnRuleError, match=r"found slot 0 \(1-01-1\), which does not take boxes of SKU 1"
        ):
            rule(BOX._replace(sku=1), index.view_of(1), STREAM)

    @pytest.mark.parametrize(
        ("body", "line"),
        [
            ("1 / 0", "4: mine: expected a slot for box 7, found ZeroDivisionError: division by zero"),
            ("helper()", "2: mine: expected a slot for box 7, found StopIteration"),
            ("v.first_open('colour')", "4: mine: expected a slot for box 7, found KeyError: 'colour'"),
            ("v.anything = 1", "4: mine: expected a slot for box 7, found AttributeError: a rule cannot change 'anything': the view is read-only"),
            ("exit()", "4: mine: expected a slot for box 7, found SystemExit: "),
            ("mine(b, v, s)", "4: mine: expected a slot for box 7, found RecursionError: maximum recursion depth exceeded"),
        ],
    )  # fmt: skip
    def test_errors_inside_are_refused(self, written, body, line):
        """An error inside a rule is one line, with the line of the file that it came from."""
        text = f"def helper():\n    return next(iter(()))\ndef mine(b, v, s):\n    {body}\n".replace(
            "exit()", "raise SystemExit(1)"
        )
        rule = load_rule(written(text))
        with pytest.raises(OwnRuleError) as caught:
            rule(BOX, view_of()[1], STREAM)
        assert len(caught.value.lines) == 1
        assert caught.value.lines[0].startswith(f"my_rules.py:{line}")

    def test_interrupt_goes_through(self, written):
        """Ctrl-C in a rule is Ctrl-C."""
        rule = load_rule(written("def mine(b, v, s):\n    raise KeyboardInterrupt\n"))
        with pytest.raises(KeyboardInterrupt):
            rule(BOX, view_of()[1], STREAM)

    def test_error_can_be_copied(self):
        """SimPy raises a copy of an error, made from its class and arguments: it has the same lines."""
        error = OwnRuleError(["a", "b"])
        again = type(error)(*error.args)
        assert (again.lines, str(again)) == (["a", "b"], "a\nb")

    @pytest.mark.parametrize(
        ("answer", "line"),
        [
            ("[0, 1, 1]", None),
            ("(0, NONE, 1)", None),
            ("np.array([0, 1, 1], dtype=np.uint16)", None),
            ("[0, 1]", "expected a slot's number or NONE for each of 3 boxes from box 7 on, found [0, 1]"),
            ("None", "expected a slot's number or NONE for each of 3 boxes from box 7 on, found nothing"),
            ("[0, [1], 2]", "expected a slot's number or NONE for each of 3 boxes from box 7 on, found [0, [1], 2]"),
            ("np.zeros(3)", "expected a slot's number or NONE for each of 3 boxes from box 7 on, found an array (3,) of float64"),
            ("np.zeros((3, 1), int)", "expected a slot's number or NONE for each of 3 boxes from box 7 on, found an array (3, 1) of int64"),
            ("[0, 1, 2]", "expected an open slot or NONE for box 9 of 3 boxes from box 7 on, found slot 2 (1-03-1), which is out of use"),
            ("[1, 5, 0]", "expected an open slot or NONE for box 8 of 3 boxes from box 7 on, found slot 5 of a store with slots 0 to 2"),
            ("[0, 0, 1]", "expected an open slot or NONE for box 8 of 3 boxes from box 7 on, found slot 0 (1-01-1) named more often than it has room"),
            ("1 / 0", "expected slots for 3 boxes from box 7 on, found ZeroDivisionError: division by zero"),
        ],
    )  # fmt: skip
    def test_batches_are_looked_at(self, written, answer, line):
        """A batch needs a place for each box: whole numbers, open slots, none more often than it has room."""
        rule = load_rule(
            written(f"""\
                import numpy as np
                from sim.allocation import Rule
                from sim.facts import NONE
                mine = Rule(lambda b, v, s: NONE, batch=lambda b, v, s: {answer})
                """)
        )
        index, _ = view_of(places=2)
        index.take(0)
        index.block(2, True)
        boxes = [BOX._replace(box=k) for k in (7, 8, 9)]
        if line is None:
            named = allocate_batch(rule, boxes, index, STREAM)
            assert named.dtype == np.int64
            assert named.tolist() in ([0, 1, 1], [0, NONE, 1])
        else:
            with pytest.raises(OwnRuleError) as caught:
                allocate_batch(rule, boxes, index, STREAM)
            assert caught.value.lines == [f"my_rules.py:4: mine: {line}"]

    @pytest.mark.parametrize(
        ("answer", "found"),
        [("1", 1), ("NONE", NONE), ("np.int8(1)", 1), ("0", "stack 0, which is full"), ("2", "stack 2 of 2"),
         ("-3", "stack -3 of 2"), ("1.0", "1.0, which is no whole number"), ("1 / 0", "ZeroDivisionError: division by zero")],
    )  # fmt: skip
    def test_stacks_are_looked_at(self, written, answer, found):
        """A stack needs a number of one that has room, or NONE for the first of them."""
        rule = load_rule(
            written(f"""\
                import numpy as np
                from sim.allocation import Rule
                from sim.facts import NONE
                mine = Rule(lambda b, v, s: 0, column=lambda b, v, slot: {answer})
                """)
        )
        from sim.slots import Stack

        index, view = view_of(places=4)
        index.stacks = lambda _slot: [Stack((1, 2), 0), Stack((), 2)]
        if isinstance(found, int):
            assert rule.column(BOX, view, 0) == found
        else:
            with pytest.raises(OwnRuleError) as caught:
                rule.column(BOX, view, 0)
            wanted = "expected a stack with room in slot 0 (1-01-1) or NONE for box 7"
            assert caught.value.lines == [f"my_rules.py:4: mine: {wanted}, found {found}"]

    @given(st.integers(-3, 5), st.sets(st.integers(0, 2)))
    @settings(max_examples=60)
    def test_open_slots_and_only_they_pass(self, answer, taken):
        """Any number: an open slot and NONE pass, everything else is refused."""
        from sim.ownrule import OwnChoice, _Source

        choice = OwnChoice(lambda box, view, stream: answer, _Source("a.py", "f", ""))
        index, view = view_of()
        for slot in taken:
            index.take(slot)
        if answer == NONE or (0 <= answer < 3 and answer not in taken):
            assert choice(BOX, view, STREAM) == answer
        else:
            with pytest.raises(OwnRuleError):
                choice(BOX, view, STREAM)


# --- what every rule keeps to ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", POLICIES)
def test_our_rules_keep_to_it(name):
    """Every rule of the program keeps to what one of the user's is held to; only batches at once differ."""
    checks = check_rule(POLICIES[name], name)
    assert [check.check for check in checks] == RIGHT
    assert [check for check in checks if not check.ok] == []
    assert checks[-1].finding.endswith(": it decides at once") == POLICIES[name].at_once


def test_checks_repeat():
    """The same rule gives the same findings, word for word."""
    assert check_rule(POLICIES["random"], "a") == check_rule(POLICIES["random"], "a")


@pytest.mark.parametrize(
    ("text", "failed", "finding"),
    [
        # A slot that may be taken.
        ("def mine(b, v, s):\n    return 0\n", "names open slots", "which has no room"),
        ("def mine(b, v, s):\n    return None\n", "names open slots", "my_rules.py:1: mine: expected a slot's number"),
        ("def mine(b, v, s):\n    return v.places(1)[0] // len(v.places(1))\n", "names open slots", "IndexError: index 0 is out of bounds"),
        # A memory, a generator of its own, draws in the order of asking.
        ("n = [0]\ndef mine(b, v, s):\n    n[0] += 1\n    return v.any_open(n[0] * 0.37 % 1)\n", "answers alike", "keep nothing between boxes"),
        ("import random\ndef mine(b, v, s):\n    return v.any_open(random.random())\n", "answers alike", "draw with stream.uniform(box.box)"),
        ("def mine(b, v, s):\n    return v.any_open(s.random())\n", "answers alike", "draw with stream.uniform(box.box)"),
        ("seen = {}\ndef mine(b, v, s):\n    return seen.setdefault(b.box, v.first_open() if len(seen) % 2 else v.last_open())\n", "names open slots", ""),
        # A hand through the view.
        ("def mine(b, v, s):\n    slot = v.first_open()\n    v._index.port_time_ms.reverse()\n    return slot\n", "changes nothing", "changed the times from the port"),
        ("def mine(b, v, s):\n    slot = v.first_open()\n    v._index.stays.here[0] += 1\n    return slot\n", "changes nothing", "changed the boxes in the store"),
        ("def mine(b, v, s):\n    slot = v.first_open()\n    if slot >= 0:\n        v._index.lots.setdefault(b.lot, {})[slot] = 5\n    return slot\n", "changes nothing", "changed the lots in slots"),
        ("def mine(b, v, s):\n    slot = v.first_open()\n    if slot >= 0:\n        v._index.take(slot)\n    return slot\n", "changes nothing", "changed the room of slots"),
        # A store that never fills.
        ("def mine(b, v, s):\n    return -1\n", "an empty store", "none for 12 of 12 boxes"),
        ("def mine(b, v, s):\n    return v.first_open() if v.occupied < 10 else -1\n", "fills a store", "10 of 69 places taken, then none"),
        # A batch that is another rule.
        (
            "from sim.allocation import Rule\nmine = Rule(lambda b, v, s: v.first_open(), batch=lambda b, v, s: [-1] * len(b))\n",
            "decides batches", "as a batch of one [-1]",
        ),
        (
            (
                "from sim.allocation import Rule\n"
                "def batch(b, v, s):\n"
                "    p = v.places(len(b))[::-1].tolist()\n"
                "    return [-1] * (len(b) - len(p)) + p\n"
                "mine = Rule(lambda b, v, s: v.first_open(), batch=batch)\n"
            ),
            "decides batches", "without at_once",
        ),
    ],
)  # fmt: skip
def test_wrong_rules_are_found(written, text, failed, finding):
    """Each way to break what a rule keeps to fails the check for it, and says what was seen."""
    name = written(text)
    checks = {check.check: check for check in check_rule(load_rule(name), name)}
    assert list(checks) == RIGHT
    assert not checks[failed].ok
    assert finding in checks[failed].finding


def test_letting_boxes_wait_is_allowed(written):
    """A rule that leaves places open for some boxes keeps to everything; the check says how often."""
    name = written("def mine(b, v, s):\n    return v.first_open() if b.sku or v.occupied < 30 else -1\n")
    checks = {check.check: check for check in check_rule(load_rule(name), name)}
    assert all(check.ok for check in checks.values())
    assert checks["names none"].finding.endswith("to which a slot is open: they wait (allowed)")


def test_departures_are_known_where_asked_for(written):
    """A rule that needs departures is shown when a box leaves, any other is not."""
    text = "from sim.allocation import Rule\ndef f(b, v, s):\n    assert (b.leaves_ms > b.now_ms - 1) == {}\n    return v.first_open()\nmine = Rule(f, needs={})\n"
    knows, not_ = text.format(True, "{'departures'}"), text.format(False, "()")
    for each in (knows, not_):
        name = written(each)
        assert all(check.ok for check in check_rule(load_rule(name), name))


# --- results -----------------------------------------------------------------------------------------------


def test_file_of_a_rule(written):
    """The file of an own rule is known by name and SHA-256, without its folder; other rules have none."""
    from hashlib import sha256

    Path("rules").mkdir()
    load_rule(written(NEAREST, "rules/a.py"))
    assert file_of("rules/a.py:mine") == {"file": "a.py", "sha256": sha256(NEAREST.encode()).hexdigest()}
    assert file_of("closest-open") is None
    assert file_of("b.py:mine") is None


def test_placeholder_lets_a_name_pass():
    """While a result is read its rule has a name; nothing can run with it, then or later."""
    with placeholder("gone.py:mine"):
        scenario = load("tiny", ["policy.allocation=gone.py:mine"]).scenario
        assert scenario.policy.allocation == "gone.py:mine"
        with pytest.raises(
            OwnRuleError, match=r"gone\.py:mine: expected the file of the rule, found only the results"
        ):
            rule_named("gone.py:mine")(BOX, view_of()[1], STREAM)
        assert file_of("gone.py:mine") is None
    assert OWN_RULES == {}
    with pytest.raises(ScenarioError, match=r"found 'gone\.py:mine'"):
        load("tiny", ["policy.allocation=gone.py:mine"])


def test_placeholder_keeps_a_loaded_rule(written):
    """A rule that is loaded stays what it is while a result of the same name is read."""
    rule = load_rule(written(NEAREST))
    with placeholder("my_rules.py:mine"):
        assert rule_named("my_rules.py:mine") is rule
    assert rule_named("my_rules.py:mine") is rule


def test_scenario_files_load_nothing(written):
    """A scenario file that names a rule of a file is refused, and the file is not run."""
    written("open('ran', 'w').close()\n" + NEAREST)
    Path("s.toml").write_text('extends = "tiny"\npolicy.allocation = "my_rules.py:mine"\n')
    with pytest.raises(ScenarioError) as caught:
        load("s.toml")
    assert caught.value.lines[0].startswith("s.toml:2: policy.allocation: expected ")
    assert not Path("ran").exists()
    load_rule("my_rules.py:mine")
    assert load("s.toml").scenario.policy.allocation == "my_rules.py:mine"
