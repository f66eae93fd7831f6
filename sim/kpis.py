"""What a run amounts to: every KPI is a function of the trace, with the warm-up cut off by time.

KPIs give seconds, hours, days, shares or counts. What lasts is cut to the measured window; what happens
counts when it ends inside the window, both ends included. A KPI gives None where nothing was observed.
Nothing is counted while the model runs, so a KPI added here works on every old run: write a function and
put it in `_CHOICES`; its docstring is the sentence that people read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np

from sim.columns import LazyColumns
from sim.facts import (
    CARRY,
    CHECK,
    CONFIRMED,
    COUNT,
    COUNT_SLOT,
    DIFFERENCES,
    ERRORS,
    FAULTS,
    FOUND_POSTED,
    INSPECT,
    ISSUE,
    LOOKS,
    LOOSE_RETURN,
    LOST_POSTED,
    MISSHAPED,
    NEVER,
    NONE,
    NOTED,
    PICK,
    PUT_AWAY,
    RECEIVE,
    REFUTED,
    REMOVED,
    RETURNS,
    REVERIFIED,
    TASK_CLASSES,
    WORK,
)
from sim.tables import (
    DAY_MS,
    FOREVER,
    ORDER_CAUSES,
    ROBOT_CAUSES,
    TASK_CAUSES,
    Steps,
    bits,
    is_first,
    is_last,
    joined,
    look_up,
    steps,
    sum_by,
)
from sim.tables import RunFacts as RunFacts

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sim.tables import Ints

KpiValue = dict[str, Any]
"""`value` (a number, or None where nothing was observed) and what belongs to it: p50, p95, n, parts."""

Better = Literal["more", "less", "neither"]


class Kpi(NamedTuple):
    """A KPI: its function, the unit of its value, its sentence and whether more of it is better."""

    function: Callable[[RunFacts], KpiValue]
    unit: str
    sentence: str
    better: Better


_HOUR_MS: Final = 3_600_000


def boxes_in_slots(run: RunFacts) -> Steps:
    """Boxes standing in slots."""
    return steps(run.in_slots["start"], run.in_slots["end"])


def staged_boxes(run: RunFacts) -> Steps:
    """Received boxes that are not in a slot yet and were not served from staging either."""
    return steps(run.received["start"], run.received["end"])


def waiting_tasks(run: RunFacts) -> Steps:
    """Tasks that no robot has taken."""
    spans = run.task_spans
    waiting = spans["robot"] == NONE
    return steps(spans["start"][waiting], spans["end"][waiting])


def open_orders(run: RunFacts) -> Steps:
    """Orders released and not handed over."""
    return steps(run.orders["start"], run.orders["end"])


def wrong_slots(run: RunFacts) -> Steps:
    """Slots for which the records do not name exactly the boxes that stand there."""
    both, slots = run.both_sides, run.layout.slots
    wrong = both["recorded"] != both["place"]
    place = np.concatenate([both["place"][wrong], both["recorded"][wrong]])
    start, end = np.tile(both["start"][wrong], 2), np.tile(both["end"][wrong], 2)
    is_slot = (place >= 0) & (place < slots)
    _, start, end = joined(place[is_slot], start[is_slot], end[is_slot])
    return steps(start, end)


def wrong_boxes(run: RunFacts) -> Steps:
    """Boxes in the store, in truth or on record, that are not where the records say."""
    return _weighed(run.both_sides, _boxes_apart(run)[0])


def wrong_meters(run: RunFacts) -> Steps:
    """Meters in the store, in truth or on record, that are not in the box or at the place on record."""
    return _weighed(run.both_sides, _meters_apart(run)[0])


def unfound_errors(run: RunFacts) -> Steps:
    """Errors in the store that nobody has found yet."""
    return steps(run.errors["start"], run.errors["end"])


SERIES: Final[dict[str, Callable[[RunFacts], Steps]]] = {
    series.__name__: series
    for series in (
        boxes_in_slots,
        staged_boxes,
        waiting_tasks,
        open_orders,
        wrong_slots,
        wrong_boxes,
        wrong_meters,
        unfound_errors,
    )
}
"""What can be drawn over time."""


def slot_fill(run: RunFacts) -> NDArray[np.float64]:
    """Time mean of the share of its box places taken, for each slot; NaN for a slot without places."""
    stays, capacity = run.in_slots, np.asarray(run.layout.capacity, np.float64)
    held = np.bincount(stays["place"], run.cut(stays["start"], stays["end"]), run.layout.slots)
    places_ms = capacity * max(run.span_ms, 1)
    fill = np.full(capacity.size, np.nan)
    np.divide(held, places_ms, out=fill, where=capacity > 0)
    return fill


def slot_visits(run: RunFacts) -> Ints:
    """How often a robot or a person took a box out of each slot or set one down in it."""
    moved = run.measured("box_moved")
    ours = moved["robot"] != NONE
    ends = np.concatenate([moved["from_place"][ours], moved["to_place"][ours]])
    return np.bincount(ends[(ends >= 0) & (ends < run.layout.slots)], minlength=run.layout.slots)


def box_moves(run: RunFacts) -> KpiValue:
    """Boxes set down in a slot or at a port, by robots or by hand; digs are counted apart."""
    moves = run.set_downs
    task_class = look_up(run.tasks["task"], run.tasks["class"], moves["task"])
    by_hand = moves["robot"] >= run.robots
    parts = {name: int((task_class[~by_hand] == number).sum()) for number, name in enumerate(TASK_CLASSES)}
    if by_hand.any():
        parts["by_hand"] = int(by_hand.sum())
    return {"value": int(moves["box"].size), "parts": parts}


def boxes_per_hour(run: RunFacts) -> KpiValue:
    """Box moves per hour that robots drive or handle and people carry (gross), and per shift hour (net)."""
    moves = int(run.set_downs["box"].size)
    by_hand = int((run.set_downs["robot"] >= run.robots).sum())
    segments, work = run.segments, run.table("person_work")
    works = np.isin(segments["cause"], [ROBOT_CAUSES.index(cause) for cause in _WORK_CAUSES])
    work_ms = int(run.cut(segments["start"], segments["end"])[works].sum())
    carries = work["work"] == CARRY
    carry_ms = int(run.cut(work["time_ms"][carries], work["end"][carries]).sum())
    gross = _ratio(moves * _HOUR_MS, work_ms + carry_ms)
    parts = {"gross": gross, "net": _ratio(moves * _HOUR_MS, run.shift_ms)}
    if by_hand:
        parts["by_robot"] = _ratio((moves - by_hand) * _HOUR_MS, work_ms)
        parts["by_hand"] = _ratio(by_hand * _HOUR_MS, carry_ms)
    return {"value": gross, "parts": parts}


_WORK_CAUSES: Final = ("travel", "handling", "digging")


def digs(run: RunFacts) -> KpiValue:
    """Boxes moved out of the way of another box."""
    return {"value": int(run.measured("box_dug")["box"].size)}


def digs_per_retrieval(run: RunFacts) -> KpiValue:
    """Boxes moved out of the way per box brought from a slot to a port."""
    retrieved = int(run.is_port[run.set_downs["to_place"]].sum())
    return {"value": _ratio(run.measured("box_dug")["box"].size, retrieved), "n": retrieved}


def put_away_time_s(run: RunFacts) -> KpiValue:
    """Clock time from the receiving scan of a box until it stands in its slot."""
    received = run.received
    stored = (received["stored"] != NONE) & run.inside(received["stored"])
    return _distribution((received["stored"] - received["start"])[stored])


def put_away_backlog(run: RunFacts) -> KpiValue:
    """Boxes received and neither stored nor served, time mean."""
    backlog = staged_boxes(run)
    mean = backlog.mean(run.start_ms, run.end_ms)
    return {"value": mean, "parts": {"mean": mean, "max": backlog.most(run.start_ms, run.end_ms)}}


def order_cycle_time_s(run: RunFacts) -> KpiValue:
    """Clock time from the release of an order to its hand-over."""
    return _distribution(run.finished_orders["end"] - run.finished_orders["start"])


def order_cycle_time_working_s(run: RunFacts) -> KpiValue:
    """Shift time from the release of an order to its hand-over."""
    orders = run.finished_orders
    return _distribution(run.open_before(orders["end"]) - run.open_before(orders["start"]))


def late_orders(run: RunFacts) -> KpiValue:
    """Share of orders handed over after their due time."""
    late = run.finished_orders["late"]
    return {"value": _ratio((late > 0).sum(), late.size), "n": int(late.size)}


def orders(run: RunFacts) -> KpiValue:
    """Orders handed over."""
    released = int(run.inside(run.orders["start"]).sum())
    handed_over = int(run.finished_orders["order"].size)
    return {"value": handed_over, "parts": {"released": released, "handed_over": handed_over}}


def open_orders_end(run: RunFacts) -> KpiValue:
    """Orders released and not handed over at the end."""
    still = run.orders["done"] == 0
    overdue = int((run.orders["due"][still] < run.end_ms).sum())
    return {"value": int(still.sum()), "parts": {"overdue": overdue}}


def meters_issued(run: RunFacts) -> KpiValue:
    """Meters handed over to supply stations."""
    return {"value": _meters_issued(run)}


def boxes_in(run: RunFacts) -> KpiValue:
    """Boxes that passed the receiving scan."""
    return {"value": int(run.measured("box_received")["box"].size)}


def gate_read_whole(run: RunFacts) -> KpiValue:
    """Share of boxes that the receiving gate reads whole, so that nobody checks them by hand."""
    records, people = run.scenario.records, run.scenario.people
    by_hand_ms = round(1000 * records.by_hand_s)
    if not records.scale or not by_hand_ms:
        return {"value": None, "n": 0}
    work, began = run.measured("person_work"), run.table("fault_began")
    received = _chosen(work, work["work"] == RECEIVE)
    bent = np.isin(received["box"], began["box"][began["cause"] == MISSHAPED])
    took = received["end"] - received["time_ms"] - bent * round(1000 * run.scenario.faults.misshaped_s)
    further = round(1000 * (run.scenario.reads.gate_passes - 1) * records.gate_pass_s)
    least = round(1000 * (people.unload_s + people.receive_s)) + further + by_hand_ms
    n = int(took.size)
    return {"value": _ratio((took < least).sum(), n), "n": n}


def boxes_out(run: RunFacts) -> KpiValue:
    """Boxes that left the store, handed over whole, emptied, or otherwise (for verification, as scrap)."""
    moved = run.measured("box_moved")
    whole = int((moved["to_place"] == run.layout.handed_over).sum())
    outside = int((moved["to_place"] == run.layout.outside).sum())
    parts = {"whole": whole, "emptied": outside}
    if away := _left_alone(run, moved):
        parts |= {"emptied": outside - away, "otherwise": away}
    return {"value": whole + outside, "parts": parts}


def robot_utilisation(run: RunFacts) -> KpiValue:
    """Share of shift time in which a robot is not idle, fleet mean; charging and faults are not idle."""
    spent = _robot_shift_ms(run)
    return {"value": _ratio(spent[1:].sum(), spent.sum())}


def robot_availability(run: RunFacts) -> KpiValue:
    """Share of shift time in which a robot is not out of order, fleet mean."""
    spent = _robot_shift_ms(run)
    return {"value": _ratio(spent.sum() - spent[ROBOT_CAUSES.index("fault")], spent.sum())}


def time_by_cause_s(run: RunFacts) -> KpiValue:
    """Shift time of a robot and what it goes to, fleet mean."""
    spent = _robot_shift_ms(run)
    if not spent.sum():
        return {"value": None}
    parts = {cause: float(ms) / 1000 / run.robots for cause, ms in zip(ROBOT_CAUSES, spent, strict=True)}
    return {"value": float(spent.sum()) / 1000 / run.robots, "parts": parts}


def task_time_by_cause_s(run: RunFacts) -> KpiValue:
    """Clock time of a task from its creation until it is done and what it goes to, mean, also by class."""
    tasks = run.tasks
    done = (tasks["done"] == 1) & run.inside(tasks["end"])
    by_class = {}
    for number, name in enumerate(TASK_CLASSES):
        chosen = done & (tasks["class"] == number)
        if chosen.any():
            by_class[name] = _mean_split(run.task_causes[chosen], TASK_CAUSES)
    return {**_mean_split(run.task_causes[done], TASK_CAUSES), "by_class": by_class}


def order_time_by_cause_s(run: RunFacts) -> KpiValue:
    """Clock time of an order and what it goes to, mean, followed along the box that is checked last."""
    return _mean_split(run.order_causes, ORDER_CAUSES)


def tours(run: RunFacts) -> KpiValue:
    """Tours that robots began."""
    return {"value": int(run.measured("tour_started")["tour"].size)}


def boxes_per_tour(run: RunFacts) -> KpiValue:
    """Boxes put away and retrieved on a tour, mean."""
    started = run.measured("tour_started")
    boxes = int(started["put_aways"].sum() + started["retrievals"].sum())
    return {"value": _ratio(boxes, started["tour"].size), "n": int(started["tour"].size)}


def fill_boxes(run: RunFacts) -> KpiValue:
    """Share of box places taken, time mean."""
    stays = run.in_slots
    return {"value": _ratio(run.cut(stays["start"], stays["end"]).sum(), run.layout.boxes * run.span_ms)}


def fill_slots(run: RunFacts) -> KpiValue:
    """Share of slots that hold a box, time mean."""
    stays = run.in_slots
    usable = sum(1 for capacity in run.layout.capacity if capacity)
    _, start, end = joined(stays["place"], stays["start"], stays["end"])
    return {"value": _ratio(run.cut(start, end).sum(), usable * run.span_ms)}


def fill_meters(run: RunFacts) -> KpiValue:
    """Share of the meters that fit into the slots which stand there, time mean."""
    stays = run.in_slots
    held = (run.cut(stays["start"], stays["end"]) * stays["meters"]).sum()
    return {"value": _ratio(held, run.layout.meters * run.span_ms)}


def allocation_failures(run: RunFacts) -> KpiValue:
    """Times that no slot could be named for a box."""
    reason = run.measured("allocation_failed")["reason"]
    parts = {"full": int((reason == 0).sum()), "none_of_its_class": int((reason == 1).sum())}
    return {"value": int(reason.size), "parts": parts}


def overflow_boxes(run: RunFacts) -> KpiValue:
    """Boxes that found staging full and went to the flat store."""
    return {"value": int(run.measured("staging_overflow")["box"].size)}


def overdue_meters(run: RunFacts) -> KpiValue:
    """Meters in the store whose verification is too old for issue, time mean."""
    stays = run.standing(run.in_store)
    verified = run.verified_day(stays["box"], stays["seq"])
    start = np.maximum(stays["start"], run.overdue_from(verified))
    return {"value": _ratio((run.cut(start, stays["end"]) * stays["meters"]).sum(), run.span_ms)}


def overdue_meters_end(run: RunFacts) -> KpiValue:
    """Meters in the store whose verification is too old for issue, at the end."""
    verified, meters = _stock_at_end(run)
    return {"value": int(meters[run.overdue_from(verified) <= run.end_ms].sum())}


def stock_age_days(run: RunFacts) -> KpiValue:
    """Days since the verification of the meters in the store, at the end."""
    verified, meters = _stock_at_end(run)
    n = int(meters.sum())
    if not n:
        return {"value": None, "n": 0}
    today = run.calendar.ordinal(run.calendar.day_of(run.end_ms))
    age = today - verified
    oldest = run.scenario.demand.max_age_days
    edges = sorted({round(oldest * k / 6) for k in range(1, 7)})
    parts, below = {}, 0
    for edge in edges:
        parts[f"{below} to {edge}"] = int(meters[(age >= below) & (age <= edge)].sum())
        below = edge + 1
    parts[f"over {oldest}"] = int(meters[age > oldest].sum())
    held = meters > 0
    p50, p95 = np.quantile(age[held], [0.5, 0.95], weights=meters[held], method="inverted_cdf").tolist()
    mean = float((age * meters).sum()) / n
    return {"value": mean, "p50": float(p50), "p95": float(p95), "n": n, "parts": parts}


def fifo_violations(run: RunFacts) -> KpiValue:
    """Boxes reserved while a usable box of the same SKU that arrived earlier stood free."""
    return _passed_over(run, run.boxes["arrived"], 0)


def boxes_left(run: RunFacts) -> KpiValue:
    """Boxes that left the store other than by an order, by why."""
    cause = run.measured("box_left")["cause"]
    return {"value": int(cause.size), "parts": _tally(cause, RETURNS)}


def boxes_came_back(run: RunFacts) -> KpiValue:
    """Boxes that came to the store other than new from the province, by why."""
    parts = _tally(run.measured("box_came_back")["cause"], RETURNS)
    created = run.measured("box_created")
    parts[RETURNS[REMOVED]] += int(((created["truck"] == NONE) & (created["time_ms"] > 0)).sum())
    return {"value": sum(parts.values()), "parts": parts}


def days_away(run: RunFacts) -> KpiValue:
    """Days that boxes were away to be verified again, of those that came back."""
    left, back = run.table("box_left"), run.measured("box_came_back")
    left, back = (_chosen(table, table["cause"] == REVERIFIED) for table in (left, back))
    if not back["box"].size:
        return {"value": None, "p50": None, "p95": None, "n": 0}
    # A box can go more than once: the last time that it left before it came back.
    scale = run.end_ms + 1
    keys = np.sort(left["box"] * scale + left["time_ms"])
    went = keys[np.searchsorted(keys, back["box"] * scale + back["time_ms"]) - 1] % scale
    days = (back["time_ms"] - went) / DAY_MS
    p50, p95 = np.quantile(days, [0.5, 0.95]).tolist()
    return {"value": float(days.mean()), "p50": p50, "p95": p95, "n": int(days.size)}


def recall_time_h(run: RunFacts) -> KpiValue:
    """Clock hours from the recall of a lot until the last of its boxes on record has left."""
    if not run.measured("lot_recalled")["lot"].size:
        return {"value": None}
    from sim.control import recalls

    told = [recall for recall in recalls(run.trace, run.layout) if recall.recalled_ms >= run.start_ms]
    hours = [recall.lasted_ms / _HOUR_MS for recall in told if recall.lasted_ms != NONE]
    parts = {"lots": len(told), "still_open": len(told) - len(hours), "boxes": sum(r.boxes for r in told),
             "digs": sum(recall.digs for recall in told)}  # fmt: skip
    return {"value": sum(hours) / len(hours) if hours else None, "parts": parts}


def empty_boxes(run: RunFacts) -> KpiValue:
    """Empty boxes that stand in the store until a truck takes them, time mean."""
    told = run.table("empties")
    if not told["boxes"].size:
        return {"value": None}
    lines = [Steps(*_last_of_instant(told, place)) for place in np.unique(told["place"])]
    means = [line.mean(run.start_ms, run.end_ms) or 0.0 for line in lines]
    return {
        "value": sum(means),
        "parts": {"most": max(line.most(run.start_ms, run.end_ms) for line in lines)},
    }


def _last_of_instant(told: dict[str, Ints], place: int) -> tuple[Ints, Ints]:
    """Times and numbers of the empty boxes at a place, one row an instant."""
    here = _chosen(told, told["place"] == place)
    last = is_last(here["time_ms"])
    return here["time_ms"][last], here["boxes"][last]


def _chosen(table: dict[str, Ints], rows: NDArray[np.bool_]) -> dict[str, Ints]:
    return (
        table.chosen(rows)
        if isinstance(table, LazyColumns)
        else {name: column[rows] for name, column in table.items()}
    )


def fefo_violations(run: RunFacts) -> KpiValue:
    """Boxes reserved while a usable box of the same SKU stood free whose verification ends earlier,
    by more than the tolerance of the policy.
    """
    return _passed_over(run, run.boxes["verified_day"], run.scenario.policy.tolerance_days)


def share_of_issues_from_before_start(run: RunFacts) -> KpiValue:
    """Share of the boxes served that stood in the store at time 0."""
    box = np.unique(run.measured("meters_issued")["box"])
    place = run.box_value("place", box)
    early = (run.box_value("time_ms", box) <= 0) & (place >= 0) & (place < run.layout.slots)
    return {"value": _ratio(early.sum(), box.size), "n": int(box.size)}


def record_accuracy_location(run: RunFacts) -> KpiValue:
    """Share of slots for which the records name exactly the boxes that stand there, time mean."""
    slots = run.layout.slots
    always = Steps(np.array([min(run.start_ms, 0)]), np.array([slots]))
    return _accuracy(run, wrong_slots(run), always)


def record_accuracy_box(run: RunFacts) -> KpiValue:
    """Share of boxes in the store, in truth or on record, that are where the records say, time mean."""
    return _accuracy(run, *(_weighed(run.both_sides, weight) for weight in _boxes_apart(run)))


def record_accuracy_meter(run: RunFacts) -> KpiValue:
    """Share of meters in the store, in truth or on record, that are in the box and at the place that the
    records name, time mean.
    """
    return _accuracy(run, *(_weighed(run.both_sides, weight) for weight in _meters_apart(run)))


def errors_made(run: RunFacts) -> KpiValue:
    """Errors by which truth and records part, or that nobody notices when they happen."""
    made = run.inside(run.errors["start"])
    return {"value": int(made.sum()), "parts": _tally(run.errors["cause"][made], ERRORS)}


def errors_found(run: RunFacts) -> KpiValue:
    """Errors that were found, by who met them and by cause."""
    errors = run.errors
    if not errors["error"].size:
        return {"value": None}
    found = _found(run)
    by_cause = _tally(errors["cause"][found], ERRORS)
    parts = _tally(errors["how"][found], LOOKS)
    del parts[LOOKS[NEVER]]
    return {"value": int(found.sum()), "parts": parts, "by_cause": by_cause}


def errors_missed(run: RunFacts) -> KpiValue:
    """Errors that nobody found: those in the store at the end, and those that left it with their box."""
    errors = run.errors
    if not errors["error"].size:
        return {"value": None}
    still = errors["how"] == NONE
    left = (errors["how"] == NEVER) & run.inside(errors["end"])
    parts = {"in_store": int(still.sum()), "left": int(left.sum())}
    by_cause = _tally(errors["cause"][still | left], ERRORS)
    return {"value": sum(parts.values()), "parts": parts, "by_cause": by_cause}


def days_to_discovery(run: RunFacts) -> KpiValue:
    """Days from an error until it is found, of those that were found; mean, also by cause."""
    errors, found = run.errors, _found(run)
    days = (errors["end"] - errors["start"])[found] / DAY_MS
    if not days.size:
        return {"value": None, "p50": None, "p95": None, "n": 0}
    p50, p95 = np.quantile(days, [0.5, 0.95]).tolist()
    by_cause = {
        name: float(days[errors["cause"][found] == cause].mean())
        for cause, name in enumerate(ERRORS)
        if (errors["cause"][found] == cause).any()
    }
    return {"value": float(days.mean()), "p50": p50, "p95": p95, "n": int(days.size), "parts": by_cause}


def discrepancies(run: RunFacts) -> KpiValue:
    """Times that somebody met another box than the recorded one, or none, or one where none was recorded."""
    met = run.measured("discrepancy")
    nothing, unexpected = met["found"] == NONE, met["expected"] == NONE
    parts = {
        "another_box": int((~nothing & ~unexpected).sum()),
        "no_box": int((nothing & ~unexpected).sum()),
        "unexpected_box": int((~nothing & unexpected).sum()),
    }
    return {"value": int(met["slot"].size), "parts": parts}


def boxes_on_hold(run: RunFacts) -> KpiValue:
    """Boxes kept from orders until a discrepancy is cleared, or because their lot is recalled, time mean."""
    held = run.holds["listed"] == 0
    line = steps(run.holds["start"][held], run.holds["end"][held])
    mean = line.mean(run.start_ms, run.end_ms)
    return {"value": mean, "parts": {"mean": mean, "max": line.most(run.start_ms, run.end_ms)}}


def slots_counted(run: RunFacts) -> KpiValue:
    """Slots that were counted; second looks at a slot are counted apart."""
    look = run.measured("slot_counted")["look"]
    first = int((look == 0).sum())
    return {"value": first, "parts": {"first_look": first, "second_look": int((look > 0).sum())}}


def certified_accuracy(run: RunFacts) -> KpiValue:
    """Share of slots that the last sample of the plan certify proves right, before it is corrected."""
    ended = run.measured("count_ended")
    if not ended["count"].size or run.scenario.counting.plan != "certify":
        return {"value": None}
    from sim.statistics import certify_sample, proven_accuracy

    wanted = run.scenario.counting.certify
    slots = sum(1 for capacity in run.layout.capacity if capacity)
    sample = certify_sample(slots, wanted.accuracy, wanted.confidence)
    samples = np.flatnonzero(ended["slots"] == sample)  # counts of a discrepancy are smaller, or not random
    if not samples.size:
        return {"value": None}
    found = run.table("count_difference")
    of_last = (found["count"] == ended["count"][samples[-1]]) & (found["verdict"] == CONFIRMED)
    wrong = int(np.unique(found["slot"][of_last]).size)
    parts = {"slots_counted": sample, "slots_wrong": wrong, "confidence": wanted.confidence}
    return {"value": proven_accuracy(slots, sample, wrong, wanted.confidence), "parts": parts}


def count_duration_h(run: RunFacts) -> KpiValue:
    """Clock hours from the planning of a count until its last slot is done."""
    counts = run.counts
    done = (counts["done"] == 1) & run.inside(counts["end"])
    hours = (counts["end"] - counts["start"])[done] / _HOUR_MS
    if not hours.size:
        return {"value": None, "p50": None, "p95": None, "n": 0}
    p50, p95 = np.quantile(hours, [0.5, 0.95]).tolist()
    return {"value": float(hours.mean()), "p50": p50, "p95": p95, "n": int(hours.size)}


def count_robot_hours(run: RunFacts) -> KpiValue:
    """Robot-hours spent on counting, without faults: driving to slots, reading, waiting on the way, and
    bringing boxes to be opened and counted and taking them back.
    """
    segments = run.segments
    tasks = run.tasks
    counts = (tasks["class"] == COUNT) | _serves_inspection(run)
    of_count = look_up(tasks["task"], counts.astype(np.int64), segments["task"]) == 1
    spent = run.cut(segments["start"], segments["end"]) * of_count
    by_cause = dict(
        zip(ROBOT_CAUSES, sum_by(segments["cause"], spent, len(ROBOT_CAUSES)).tolist(), strict=True)
    )
    hours = {cause: by_cause[cause] / _HOUR_MS for cause in ("travel", "handling")}
    hours["waiting"] = sum(by_cause[cause] for cause in ("aisle", "port", "conflict", "tour_wait")) / _HOUR_MS
    return {"value": sum(hours.values()), "parts": hours}


def _serves_inspection(run: RunFacts) -> NDArray[np.bool_]:
    """Which tasks bring a box to be opened and counted, or take it back: by row of `tasks`."""
    tasks, work = run.tasks, run.table("person_work")
    inspected = work["work"] == INSPECT
    box, at = work["box"][inspected], work["time_ms"][inspected]
    serves = np.zeros(tasks["task"].size, np.bool_)
    scale = run.end_ms + 1
    for chosen, is_before in (
        ((tasks["class"] == ISSUE) & (tasks["order"] == NONE), True),
        (tasks["class"] == LOOSE_RETURN, False),
    ):
        rows = np.flatnonzero(chosen)
        rows = rows[np.argsort(tasks["box"][rows] * scale + tasks["start"][rows], kind="stable")]
        keys = tasks["box"][rows] * scale + tasks["start"][rows]
        near = np.searchsorted(keys, box * scale + at, side="right" if is_before else "left") - is_before
        there = (near >= 0) & (near < rows.size)
        found = rows[near[there]]
        serves[found[tasks["box"][found] == box[there]]] = True
    return serves


def count_person_hours(run: RunFacts) -> KpiValue:
    """Person-hours spent on counting: slots counted by hand, and boxes opened to count their meters."""
    worked = _people_ms(run)
    parts = {WORK[work]: worked[WORK[work]] / _HOUR_MS for work in (COUNT_SLOT, INSPECT)}
    return {"value": sum(parts.values()), "parts": parts}


def differences_noted(run: RunFacts) -> KpiValue:
    """Differences between records and what a count sees, at its first look."""
    if not run.table("slot_counted")["slot"].size:
        return {"value": None}
    noted = run.measured("count_difference")
    what = noted["what"][noted["verdict"] == NOTED]
    return {"value": int(what.size), "parts": _tally(what, DIFFERENCES)}


def count_false_alarms(run: RunFacts) -> KpiValue:
    """Differences that a second look refutes; the share is of those that a second look judges."""
    if not run.table("slot_counted")["slot"].size:
        return {"value": None}
    seen = run.measured("count_difference")
    refuted, confirmed = seen["verdict"] == REFUTED, seen["verdict"] == CONFIRMED
    n = int((refuted | confirmed).sum())
    parts: dict[str, Any] = _tally(seen["what"][refuted], DIFFERENCES)
    return {"value": int(refuted.sum()), "n": n, "parts": {**parts, "share": _ratio(refuted.sum(), n)}}


def differences_posted(run: RunFacts) -> KpiValue:
    """Boxes posted as a loss, or as found after that."""
    if not run.table("slot_counted")["slot"].size:
        return {"value": None}
    verdict = run.measured("count_difference")["verdict"]
    parts = {"lost": int((verdict == LOST_POSTED).sum()), "found": int((verdict == FOUND_POSTED).sum())}
    return {"value": sum(parts.values()), "parts": parts}


def availability(run: RunFacts) -> KpiValue:
    """Up time of the robots over their up and down time (FEM 9.221), by the clock; in shifts beside it."""
    segments = run.segments
    down = segments["cause"] == ROBOT_CAUSES.index("fault")
    parts = {}
    for name, spent in (
        ("by_clock", run.cut(segments["start"], segments["end"])),
        ("in_shifts", run.open_cut(segments["start"], segments["end"])),
    ):
        parts[name] = _ratio(spent[~down].sum(), spent.sum())
    return {"value": parts["by_clock"], "parts": parts}


def performance_availability(run: RunFacts) -> KpiValue:
    """Share of promises that were kept ((N - n) / N, VDI 4486): orders handed over by their due time, boxes
    stored or served within 4 shift hours of their scan; what is open at the end counts once it is late.
    """
    orders, received = run.orders, run.received
    of_orders = _kept(run, orders["done"] == 1, orders["end"], np.maximum(orders["late"], 0) > 0)
    late = run.open_between(received["start"], received["end"]) > _PUT_AWAY_WITHIN_MS
    of_boxes = _kept(run, received["done"] == 1, received["end"], late)
    # An order that is open has no verdict of its own yet: it is late once its due time has passed.
    overdue = int(((orders["done"] == 0) & (orders["due"] < run.end_ms)).sum())
    of_orders = (of_orders[0], of_orders[1] + overdue)
    kept, judged = (a + b for a, b in zip(of_orders, of_boxes, strict=True))
    parts = {"orders": _ratio(*of_orders), "put_aways": _ratio(*of_boxes)}
    return {"value": _ratio(kept, judged), "n": judged, "parts": parts}


_PUT_AWAY_WITHIN_MS: Final = 4 * _HOUR_MS


def faults(run: RunFacts) -> KpiValue:
    """Times that something broke."""
    return {"value": int(run.measured("fault_began")["fault"].size), "parts": _tally(
        run.measured("fault_began")["cause"], FAULTS
    )}  # fmt: skip


def people_utilisation(run: RunFacts) -> KpiValue:
    """Share of the shift time of all people that is hands-on work."""
    worked, present_ms = _people_ms(run), run.scenario.people.count * run.shift_ms
    parts = {name: _ratio(ms, present_ms) for name, ms in _works_shown(worked).items()}
    return {"value": _ratio(sum(worked.values()), present_ms), "parts": parts}


def person_hours_per_1000_meters(run: RunFacts) -> KpiValue:
    """Hands-on person-hours per 1,000 meters issued."""
    worked, meters = _people_ms(run), _meters_issued(run)
    parts = {name: _ratio(ms * 1000 / _HOUR_MS, meters) for name, ms in _works_shown(worked).items()}
    return {"value": _ratio(sum(worked.values()) * 1000 / _HOUR_MS, meters), "parts": parts}


_CHOICES: Final[dict[str, tuple[tuple[Callable[[RunFacts], KpiValue], str, Better], ...]]] = {
    "Orders": (
        (orders, "orders", "neither"),
        (order_cycle_time_s, "s", "less"),
        (order_cycle_time_working_s, "s", "less"),
        (order_time_by_cause_s, "s", "less"),
        (late_orders, "share", "less"),
        (open_orders_end, "orders", "less"),
        (meters_issued, "meters", "neither"),
        (boxes_out, "boxes", "neither"),
        (share_of_issues_from_before_start, "share", "neither"),
    ),
    "Boxes coming in": (
        (boxes_in, "boxes", "neither"),
        (gate_read_whole, "share", "more"),
        (put_away_time_s, "s", "less"),
        (put_away_backlog, "boxes", "less"),
        (allocation_failures, "times", "less"),
        (overflow_boxes, "boxes", "less"),
    ),
    "Robots": (
        (box_moves, "boxes", "neither"),
        (boxes_per_hour, "boxes/h", "more"),
        (robot_utilisation, "share", "neither"),
        (robot_availability, "share", "more"),
        (time_by_cause_s, "s", "neither"),
        (task_time_by_cause_s, "s", "less"),
        (tours, "tours", "neither"),
        (boxes_per_tour, "boxes", "more"),
        (digs, "boxes", "less"),
        (digs_per_retrieval, "boxes/box", "less"),
    ),
    "Availability": (
        (availability, "share", "more"),
        (performance_availability, "share", "more"),
        (faults, "times", "less"),
    ),
    "People": (
        (people_utilisation, "share", "neither"),
        (person_hours_per_1000_meters, "h", "less"),
    ),
    "Stock": (
        (fill_boxes, "share", "neither"),
        (fill_slots, "share", "neither"),
        (fill_meters, "share", "neither"),
        (overdue_meters, "meters", "less"),
        (overdue_meters_end, "meters", "less"),
        (stock_age_days, "days", "less"),
        (boxes_left, "boxes", "neither"),
        (boxes_came_back, "boxes", "neither"),
        (days_away, "days", "less"),
        (recall_time_h, "h", "less"),
        (empty_boxes, "boxes", "less"),
        (fefo_violations, "boxes", "less"),
        (fifo_violations, "boxes", "less"),
    ),
    "Records": (
        (record_accuracy_location, "share", "more"),
        (record_accuracy_box, "share", "more"),
        (record_accuracy_meter, "share", "more"),
        (errors_made, "errors", "less"),
        (errors_found, "errors", "more"),
        (errors_missed, "errors", "less"),
        (days_to_discovery, "days", "less"),
        (discrepancies, "times", "less"),
        (boxes_on_hold, "boxes", "less"),
    ),
    "Counts": (
        (slots_counted, "slots", "neither"),
        (certified_accuracy, "share", "more"),
        (count_duration_h, "h", "less"),
        (count_robot_hours, "h", "less"),
        (count_person_hours, "h", "less"),
        (differences_noted, "differences", "neither"),
        (count_false_alarms, "differences", "less"),
        (differences_posted, "boxes", "neither"),
    ),
}

KPIS: Final[dict[str, Kpi]] = {
    function.__name__: Kpi(function, unit, " ".join((function.__doc__ or "").split()), better)
    for group in _CHOICES.values()
    for function, unit, better in group
}
"""Every KPI by name, in the order of reading."""

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    heading: tuple(function.__name__ for function, _, _ in group) for heading, group in _CHOICES.items()
}
"""The names of the KPIs under the headings that tables of them have."""


def compute(run: RunFacts) -> dict[str, KpiValue]:
    """Every KPI of a run by name: its value, its unit and what belongs to it, ready for JSON."""
    return {name: {**kpi.function(run), "unit": kpi.unit} for name, kpi in KPIS.items()}


def limits(run: RunFacts) -> str:
    """One sentence on what limits the store, from how busy robots and people are and where orders wait."""
    busy = {
        "robots": robot_utilisation(run)["value"] or 0.0,
        "people": people_utilisation(run)["value"] or 0.0,
    }
    busiest = max(busy, key=lambda who: busy[who])
    split, overflow = order_time_by_cause_s(run), overflow_boxes(run)["value"]
    waits = {cause: seconds for cause, seconds in split.get("parts", {}).items() if cause in _WAITS}
    longest = max(waits, key=lambda cause: waits[cause], default="")
    if busy[busiest] >= _NEAR_LIMIT:
        robots = f"The {run.robots} robots limit" if run.robots > 1 else "The robot limits"
        verdict = f"{robots} the store" if busiest == "robots" else "The people limit the store"
    elif longest == "waiting_stock" and waits[longest]:
        verdict = "Supply limits the store"
    elif allocation_failures(run)["value"]:
        verdict = "Room in the racks limits the store"
    elif overflow and (robot_availability(run)["value"] or 1.0) < 1.0:
        verdict = "What breaks limits the store"
    else:
        verdict = "Put-away limits the store" if overflow else "Nothing works near its limit"
    clauses = [f"{verdict}: {_who_is_busy(run, busy)}"]
    if split["value"]:
        work = _percent(1.0 - sum(waits.values()) / split["value"])
        wait = f" and waits longest for {_WAITS[longest]} ({_percent(waits[longest] / split['value'])})"
        clauses.append(f"an order is worked on for {work} of its time{wait if waits[longest] else ''}")
    before, after = open_orders(run).at(np.array([run.start_ms, run.end_ms - 1])).tolist()
    if after - before > max(5, orders(run)["value"] // 10):
        clauses.append(f"orders pile up, from {before:,} open at the start to {after:,} at the end")
    if overflow:
        boxes = "box" if overflow == 1 else "boxes"
        clauses.append(f"{overflow:,} {boxes} found staging full and went to the flat store")
    return "; ".join(clauses) + "."


def _who_is_busy(run: RunFacts, busy: dict[str, float]) -> str:
    people = f"people {_percent(busy['people'])}" if run.scenario.people.count else "there are no people"
    if not run.robots:
        return f"there is no robot and {people}"
    robots = f"the {run.robots} robots are" if run.robots > 1 else "the robot is"
    return f"{robots} busy {_percent(busy['robots'])} of shift time and {people}"


_NEAR_LIMIT: Final = 0.85
_WAITS: Final = {
    "waiting_stock": "stock",
    "count": "boxes that are not as recorded",
    "waiting_robot": "a robot",
    "waiting_people": "people",
    "outside_shifts": "the next shift",
    "tour_wait": "a tour to fill up",
    "aisle": "a free aisle",
    "port": "a free port",
    "conflict": "a place that another robot works on",
    "charging": "a robot that charges",
    "fault": "a robot that is out of order",
}


class Buffer(NamedTuple):
    """Little's law on one buffer: what stands in it on average, what comes, how long each stays."""

    mean_number: float
    arrivals_per_s: float
    mean_stay_s: float


def buffers(run: RunFacts) -> dict[str, Buffer]:
    """Number, arrival rate and stay for every place where boxes, tasks or orders wait, in the window.

    The number comes from a running count over time, rate and stay from single stays cut to the window (one
    that began before counts as arriving at its start), so number = rate x stay is a check of the facts.
    """
    layout = run.layout
    places = {
        "slots": range(layout.slots),
        "staging": [layout.staging],
        "overflow": [layout.overflow],
        "ports": [port.place for port in layout.ports],
        "robots": [layout.robot_place(robot) for robot in range(run.robots + run.hands)],
        "pick_station": [layout.pick_station],
        "loose_rack": [layout.loose_rack],
    }
    stays = {name: run.standing(run.places(chosen)) for name, chosen in places.items()}
    waits = {name: (table["start"], table["end"]) for name, table in stays.items()}
    spans = run.task_spans
    free = spans["robot"] == NONE
    waits["waiting_tasks"] = (spans["start"][free], spans["end"][free])
    waits["open_orders"] = (run.orders["start"], run.orders["end"])
    found = {}
    for name, (start, end) in waits.items():
        stayed = run.cut(start, end)
        n = int((stayed > 0).sum())
        found[name] = Buffer(
            mean_number=steps(start, end).mean(run.start_ms, run.end_ms) or 0.0,
            arrivals_per_s=_ratio(n * 1000, run.span_ms) or 0.0,
            mean_stay_s=_ratio(stayed.sum() / 1000, n) or 0.0,
        )
    return found


def _robot_shift_ms(run: RunFacts) -> Ints:
    """Shift time of the fleet in the window by cause; shape (len(ROBOT_CAUSES),)."""
    segments = run.segments
    return sum_by(segments["cause"], run.open_cut(segments["start"], segments["end"]), len(ROBOT_CAUSES))


def _people_ms(run: RunFacts) -> dict[str, int]:
    """Hands-on time in the window by kind of work."""
    work = run.table("person_work")
    spent = sum_by(work["work"], run.cut(work["time_ms"], work["end"]), len(WORK))
    return dict(zip(WORK, spent.tolist(), strict=True))


def _works_shown(worked: dict[str, int]) -> dict[str, int]:
    """The kinds of work that every store has, and those others that were done."""
    return {name: ms for name, ms in worked.items() if ms or WORK.index(name) in (RECEIVE, PICK, CHECK)}


def _meters_issued(run: RunFacts) -> int:
    return int(bits(run.measured("meters_issued")["mask"]).sum())


def _stock_at_end(run: RunFacts) -> tuple[Ints, Ints]:
    """Of the boxes in the store at the end of the run, the day of verification and the meters of each."""
    stays = run.stays
    here = is_last(stays["box"]) & run.in_store[stays["place"]]
    return run.verified_day(stays["box"][here], stays["seq"][here]), stays["meters"][here]


def _left_alone(run: RunFacts, moved: dict[str, Ints]) -> int:
    """How many of these moves out of the store are of boxes that leave otherwise than by an order."""
    away = run.table("box_left")
    scale = run.end_ms + 1
    keys = away["box"] * scale + away["time_ms"]
    out = moved["to_place"] == run.layout.outside
    return int(np.isin(moved["box"][out] * scale + moved["time_ms"][out], keys).sum())


def _accuracy(run: RunFacts, wrong: Steps, counted: Steps) -> KpiValue:
    """The share that is not wrong: its mean over time, at the start, at the end, and when it was least."""
    ends = np.array([run.start_ms, run.end_ms])
    wrong_ms, counted_ms = (np.diff(line.total_before(ends))[0] for line in (wrong, counted))
    share = _ratio(wrong_ms, counted_ms)
    if share is None:
        return {"value": None}
    changes = np.concatenate([wrong.times, counted.times])
    times = np.append(
        [run.start_ms, run.end_ms - 1], changes[(changes > run.start_ms) & (changes < run.end_ms)]
    )
    there = counted.at(times)
    shares = 1.0 - np.divide(wrong.at(times), there, out=np.zeros(times.size), where=there > 0)
    start, end = (float(shares[k]) if there[k] else None for k in (0, 1))
    least = float(shares[there > 0].min())
    return {"value": 1.0 - share, "parts": {"start": start, "end": end, "least": least}}


def _boxes_apart(run: RunFacts) -> tuple[Ints, Ints]:
    """For each row of `both_sides` whether its box is recorded wrong, and whether it counts at all (0, 1)."""
    both = run.both_sides
    counted = run.in_store[both["place"]] | run.in_store[both["recorded"]]
    wrong = counted & (both["place"] != both["recorded"])
    return wrong.astype(np.int64), counted.astype(np.int64)


def _meters_apart(run: RunFacts) -> tuple[Ints, Ints]:
    """For each row of `both_sides` how many meters of its box are recorded wrong, and how many count."""
    both = run.both_sides
    truth = both["truth"] * run.in_store[both["place"]]
    record = both["record"] * run.in_store[both["recorded"]]
    right = bits(np.bitwise_and(truth, record)) * (both["place"] == both["recorded"])
    counted = bits(np.bitwise_or(truth, record))
    return counted - right, counted


def _weighed(table: dict[str, Ints], weight: Ints) -> Steps:
    """The sum of the weights of the rows that last at an instant."""
    some = weight > 0
    return steps(table["start"][some], table["end"][some], weight[some])


def _found(run: RunFacts) -> NDArray[np.bool_]:
    """Which errors somebody found in the window."""
    how = run.errors["how"]
    found: NDArray[np.bool_] = (how != NONE) & (how != NEVER) & run.inside(run.errors["end"])
    return found


def _tally(numbers: Ints, names: tuple[str, ...]) -> dict[str, int]:
    """How often each of the names occurs, given by their numbers."""
    return {name: int((numbers == number).sum()) for number, name in enumerate(names)}


def _kept(run: RunFacts, done: NDArray[np.bool_], end: Ints, late: NDArray[np.bool_]) -> tuple[int, int]:
    """How many promises were kept, and of how many: those that ended, and those still open that are late."""
    ended = done & run.inside(end)
    return int((ended & ~late).sum()), int((ended | (~done & late)).sum())


def _passed_over(run: RunFacts, key: Ints, tolerance: int) -> KpiValue:
    """How many boxes were reserved while one of their SKU with a key lower by more than tolerance was free.

    Free is a whole box from its receiving scan (or time 0) until its first reservation, its expiry or its
    opening, unless somebody has it in hand or it is on hold. Only that first reservation is judged: an open
    box is used up first anyway.
    """
    boxes, reserved, received = run.boxes, run.table("box_reserved"), run.table("box_received")
    first_box, first = np.unique(reserved["box"], return_index=True)
    taken = look_up(first_box, reserved["time_ms"][first], boxes["box"])
    scanned_box, scan = np.unique(received["box"], return_index=True)
    scanned = look_up(scanned_box, received["time_ms"][scan], boxes["box"])
    usable = np.where(boxes["truck"] == NONE, boxes["time_ms"], np.where(scanned == NONE, FOREVER, scanned))
    until = np.minimum(np.where(taken == NONE, FOREVER, taken), run.overdue_from(boxes["verified_day"]))
    opened = _opened(run)
    until = np.minimum(until, opened)
    full = np.asarray(run.layout.full_boxes(int(boxes["sku"].max(initial=NONE)) + 1), np.int64)
    whole = boxes["meters"] == full[boxes["sku"]]
    judged = (taken != NONE) & run.inside(taken) & whole & (taken <= opened)
    stock = np.flatnonzero(whole & (usable < until))
    hand, hand_start, hand_end = _in_hand(run)
    hand_start, hand_end = np.maximum(hand_start, usable[hand]), np.minimum(hand_end, until[hand])
    hand, hand_start, hand_end = (column[hand_end > hand_start] for column in (hand, hand_start, hand_end))
    count = 0
    for sku in np.unique(boxes["sku"][judged]).tolist():
        free, held = stock[boxes["sku"][stock] == sku], boxes["sku"][hand] == sku
        chosen = np.flatnonzero(judged & (boxes["sku"] == sku))
        rows = (free, free, hand[held], hand[held], chosen)
        times = (usable[free], until[free], hand_start[held], hand_end[held], taken[chosen])
        weight = np.repeat([1, -1, -1, 1, 0], [row.size for row in rows])
        keys = key[np.concatenate(rows)]
        keys[keys.size - chosen.size :] -= tolerance
        standing = _sum_before_and_below(np.concatenate(times), keys, weight)
        count += int((standing[keys.size - chosen.size :] > 0).sum())
    n = int(judged.sum())
    return {"value": count, "n": n, "parts": {"share": _ratio(count, n)}}


def _opened(run: RunFacts) -> Ints:
    """When each row of `boxes` was opened without an order: to count its meters, or found not to be full."""
    recorded, tasks = run.table("meters_recorded"), run.tasks
    asked = (tasks["class"] == ISSUE) & (tasks["order"] == NONE)
    opened = np.full(run.boxes["box"].size, FOREVER)
    for box, time in ((recorded["box"], recorded["time_ms"]), (tasks["box"][asked], tasks["start"][asked])):
        np.minimum.at(opened, np.searchsorted(run.boxes["box"], box), time)
    return opened


def _in_hand(run: RunFacts) -> tuple[Ints, Ints, Ints]:
    """When boxes were on board, were to be put away next or were on hold, as (row of `boxes`, start, end)."""
    spans, tasks = run.task_spans, run.tasks
    row = np.searchsorted(tasks["task"], spans["task"])
    held = (spans["robot"] != NONE) & (tasks["class"][row] == PUT_AWAY)
    carriers = range(run.robots + run.hands)
    aboard = run.standing(run.places([run.layout.robot_place(carrier) for carrier in carriers]))
    box = np.concatenate([tasks["box"][row[held]], aboard["box"], run.holds["box"]])
    start = np.concatenate([spans["start"][held], aboard["start"], run.holds["start"]])
    end = np.concatenate([spans["end"][held], aboard["end"], run.holds["end"]])
    return joined(np.searchsorted(run.boxes["box"], box), start, end)


def _sum_before_and_below(times: Ints, keys: Ints, weight: Ints) -> Ints:
    """For each row, the sum of the weights of rows of the same time or earlier whose key is strictly below.

    Rows that weigh something come before those of weight 0 at the same time. A wavelet tree: rows in order
    of time are parted by the bits of their key's rank, the highest first; a row in the upper half of a node
    has all rows before it in the lower half below it.
    """
    rank = np.unique(keys, return_inverse=True)[1]
    total = np.zeros(times.size, np.int64)
    at = np.lexsort((weight == 0, times))
    for bit in reversed(range(int(rank.max(initial=0)).bit_length())):
        node, upper = rank[at] >> (bit + 1), (rank[at] >> bit) & 1 == 1
        lower = np.where(upper, 0, weight[at])
        before = np.cumsum(lower) - lower
        start = np.maximum.accumulate(np.where(is_first(node), np.arange(at.size), 0))
        total[at[upper]] += (before - before[start])[upper]
        at = at[np.argsort(rank[at] >> bit, kind="stable")]
    return total


def _distribution(times_ms: Ints) -> KpiValue:
    if not times_ms.size:
        return {"value": None, "p50": None, "p95": None, "n": 0}
    p50, p95 = (np.quantile(times_ms, [0.5, 0.95]) / 1000).tolist()
    mean, n = float(times_ms.sum()) / 1000 / times_ms.size, int(times_ms.size)
    return {"value": mean, "p50": p50, "p95": p95, "n": n}


def _mean_split(causes_ms: Ints, names: tuple[str, ...]) -> KpiValue:
    """The mean time of rows that are split by cause, and its parts, which sum to it."""
    n = causes_ms.shape[0]
    if not n:
        return {"value": None, "n": 0}
    parts = dict(zip(names, (causes_ms.sum(axis=0) / 1000 / n).tolist(), strict=True))
    return {"value": float(causes_ms.sum()) / 1000 / n, "n": n, "parts": parts}


def _ratio(part: float | np.number[Any], whole: float | np.number[Any]) -> float | None:
    """A share or a rate; None when there is nothing to divide by."""
    return float(part) / float(whole) if whole else None


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"
