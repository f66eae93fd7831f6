"""Robots: tours in the best order, exact times by hand, aisles, ports, batteries, digging, and laws of any run."""

import functools
import itertools
import math
from collections import defaultdict

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from sim.facts import (
    CHARGE,
    COUNT,
    EMPTIES,
    GO_CHARGE,
    IDLE,
    ISSUE,
    LOOSE_RETURN,
    NONE,
    PUT_AWAY,
    WAIT_AISLE,
    WAIT_CONFLICT,
    WAIT_PORT,
)  # fmt: skip
from sim.robots import (
    DISPATCH,
    DWELL,
    EXACT_STOPS,
    DispatchView,
    DwellView,
    Fleet,
    Lock,
    RobotParams,
    Task,
    order_stops,
)  # fmt: skip
from sim.travel import Travel
from tests.worlds import World, layout_of, named, stretches_of

HOUR = 3_600_000
STAY = {"dwell": "stay"}
STACKS = {"kind": "top_gripper", "access": "stack_lifo"}

# The reference robot: 1.5 m/s at 0.7 m/s2 (reached after 3.214 m), lift 0.5 m/s at 0.5 m/s2 (after 0.5 m), turn 4 s,
# pick and place 6 s, positioning 1.5 s, transfer between fork and rack on board 2 s. In the reference store
# column c stands at x = 1.5 + 0.95 (c - 1) m, level v at z = 1.2 (v - 1) m, tier t 0.24 t m above that.


def ready(world):
    """Have everything that was asked for received and waiting before the robots start."""
    world.people.start()
    world.run(0.001)
    world.fleet.start()
    return world


# -- The order of a tour -----------------------------------------------------------------------------


@functools.cache
def stop_costs(axes, acceleration):
    """Times between places of the reference store, slot bases and ports."""
    layout = layout_of()
    robot = RobotParams(
        axes=axes, acceleration_m_per_s2=acceleration, lift_acceleration_m_per_s2=acceleration
    )
    travel = Travel(layout, robot)
    z = layout.z_mm.tolist()
    return layout, lambda a, b: travel.between_ms(a, z[a], b, z[b])


motions = st.sampled_from(
    [("sequential", 0.7), ("simultaneous", 0.7), ("sequential", math.inf), ("simultaneous", math.inf)]
)


@st.composite
def tours(draw, stops=6):
    """A start, stops with set-downs and picks that fit on board in some order, an end, load and capacity."""
    carry = draw(st.integers(1, 4))
    load, picks, changes = 0, 0, []
    for _ in range(stops):
        change = draw(st.integers(-2, 2))
        if change < 0 and load - change <= carry:
            load -= change
            changes.append(change)
        elif change >= 0 and picks + change <= carry:
            picks += change
            changes.append(change)
    changes = changes or [0]
    slots = draw(st.lists(st.integers(0, 257), min_size=len(changes), max_size=len(changes)))
    start = draw(st.sampled_from([258, 259, 5, 200]))
    end = draw(st.sampled_from([259, 258, NONE]))
    return start, list(zip(slots, changes, strict=True)), end, load, carry


def cost_of(order, tour, cost):
    """The time of a path, or None when the robot is overloaded on the way."""
    start, stops, end, load, carry = tour
    at, total = start, 0
    for index in order:
        place, change = stops[index]
        total += cost(at, place)
        at, load = place, load + change
        if load > carry:
            return None
    return total + (cost(at, end) if end != NONE else 0)


class TestOrderOfStops:
    @given(tours(), motions)
    @settings(max_examples=200)
    def test_order_equals_brute_force(self, tour, motion):
        """No order of the stops that never overloads the robot is quicker than the one that is found."""
        _, cost = stop_costs(*motion)
        found = order_stops(*tour, cost)
        assert sorted(found) == list(range(len(tour[1])))
        every = itertools.permutations(range(len(tour[1])))
        quickest = min(c for order in every if (c := cost_of(order, tour, cost)) is not None)
        # Without acceleration, legs rounded to the millisecond may add up to one less than the leg across them.
        rounding = len(found) if motion[1] == math.inf else 0
        assert 0 <= cost_of(found, tour, cost) - quickest <= rounding

    @given(st.data(), motions)
    @settings(max_examples=15)
    def test_long_tours_fit_on_board(self, data, motion):
        """Beyond the exact search every stop is visited once, never overloaded, and no reversal is quicker."""
        carry = data.draw(st.integers(EXACT_STOPS // 2 + 1, 10))
        slots = data.draw(st.lists(st.integers(0, 257), min_size=2 * carry, max_size=2 * carry))
        changes = [-1] * carry + [1] * carry
        tour = (258, list(zip(slots, changes, strict=True)), 259, carry, carry)
        _, cost = stop_costs(*motion)
        found = order_stops(*tour, cost)
        assert sorted(found) == list(range(2 * carry))
        total = cost_of(found, tour, cost)
        assert total is not None
        for a, b in itertools.combinations(range(2 * carry + 1), 2):
            other = cost_of(found[:a] + found[a:b][::-1] + found[b:], tour, cost)
            assert other is None or other >= total

    def test_full_board_sets_down_first(self):
        """With four boxes on board and four to fetch from the nearest slot, a slot is emptied onto first."""
        layout, cost = stop_costs("sequential", 0.7)
        near, far = layout.place("1-01-2"), layout.place("1-13-1")
        stops = [(near, 4), (far, -4)]
        assert order_stops(layout.inbound, stops, layout.outbound, 4, 4, cost) == [1, 0]

    def test_order_by_hand(self):
        """From aisle 1 to the outbound port at aisle 2: first what lies in aisle 1, on the way in the set-down."""
        layout, cost = stop_costs("sequential", 0.7)
        # A pick in aisle 2 before one of the stops in aisle 1 would cost the cross-aisle twice more. In aisle 1 the
        # robot is full, so that the pick at column 2 has to wait for the set-down at column 9.
        names = ["3-05-1", "1-02-1", "1-09-1"]
        stops = [(layout.place(name), change) for name, change in zip(names, (1, 1, -2), strict=True)]
        assert order_stops(layout.inbound, stops, layout.outbound, 2, 2, cost) == [2, 1, 0]

    @pytest.mark.parametrize("stops", [[], [(5, -1)]])
    def test_short_tours_need_no_order(self, stops):
        """No stop or one stop is its own order."""
        _, cost = stop_costs("sequential", 0.7)
        assert order_stops(258, stops, 259, 1, 4, cost) == list(range(len(stops)))


# -- Exact times on the reference store ----------------------------------------------------------------


class TestTimes:
    def test_single_put_away(self):
        """A box brought from the port to the far top corner of the other aisle takes 42.771 s."""
        world = World(policy={"dwell": "stay", "allocation": "farthest-open"})
        world.truck(1)
        world.run(100)
        # Robot at the port: pick 6.000. Cross-aisle 2.7 m: 2 sqrt(2.7/0.7) = 3.928; turn 4; aisle 12.9 m:
        # 12.9/1.5 + 1.5/0.7 = 10.743; lift 4.8 m: 4.8/0.5 + 0.5/0.5 = 10.6: 29.271, at 35.271. Positioning 1.5, place 6.
        assert world.path() == [
            ("work", "in", 0, 6000), ("work", "4-13-5", 6000, 42771), ("idle", "4-13-5", 42771, 100000),
        ]  # fmt: skip
        assert world.stretches()[1].arrive == 35271
        assert [f["time"] for f in world.facts("task_done")] == [42771]

    def test_single_retrieval(self):
        """A box from the middle of aisle 1, second stack column, third tier, is at the port after 47.800 s."""
        world = World(policy=STAY)
        world.stock_box("2-05-3", 1, 2)
        world.order(15)
        world.run(100)
        # Aisle 5.3 m: 5.3/1.5 + 2.142857 = 5.676; lift to 2.4 + 0.48 = 2.88 m: 2.88/0.5 + 1 = 6.760, at 12.436;
        # positioning 1.5 and pick 6: 19.936. Back 5.676, turn 4, cross 3.928, lift down 6.760: at 40.300;
        # positioning at the port 1.5: 41.800; place 6: 47.800.
        assert world.path() == [
            ("work", "2-05-3", 0, 19936), ("work", "out", 19936, 41800), ("work", "out", 41800, 47800),
            ("idle", "out", 47800, 100000),
        ]  # fmt: skip
        assert [s.arrive for s in world.stretches()[:3]] == [12436, 40300, 41800]
        assert [s.height_mm for s in world.stretches()[:3]] == [2880, 0, 0]

    def test_tour_of_four_put_aways(self):
        """Four boxes for one column: 30 s at the port, and the rack on board gives them back one by one."""
        world = World(policy=STAY, start=False)
        world.truck(4)
        ready(world).run(100)
        # All from t = 1 ms. Picks 6, then 6 + 2 each to free the fork: 6, 14, 22, 30. Aisle 1.5 m: 2 sqrt(1.5/0.7)
        # = 2.928; positioning 1.5. Box 0 first: box 3 goes from the fork to the rack and box 0 onto it, 2 + 2 + 6:
        # 30 + 2.928 + 1.5 + 10 = 44.428. Then each: lift one tier, 2 sqrt(0.24/0.5) = 1.386, fork 2, place 6.
        assert [end - 1 for _, _, _, end in world.path()[:8]] == [
            6000, 14000, 22000, 30000, 44428, 44428 + 9386, 44428 + 2 * 9386, 44428 + 3 * 9386,
        ]  # fmt: skip
        assert [f["tier"] for f in world.facts("box_moved", to_place=world.slot("1-01-1"))] == [0, 1, 2, 3]

    def test_tour_of_four_retrievals(self):
        """Four boxes from three slots in two aisles are at the port after 113.708 s."""
        world = World(policy=STAY)
        for name in ("1-02-1", "1-02-1", "2-05-3", "4-03-2"):
            world.stock_box(name)
        world.order(60)
        world.run(200)
        # 1-02-1: 2.45 m, 2 sqrt(3.5) = 3.742; 1.5 + 6: 11.242. Its second tier: lift 1.386, 2 + 6: 20.628.
        # 2-05-3: 2.85 m 4.036, lift 0.24 to 2.4: 2.16/0.5 + 1 = 5.32; 1.5 + 2 + 6: 39.484.
        # 4-03-2: out 5.676, turn 4, cross 3.928, turn 4, in 3.4 m 3.4/1.5 + 2.143 = 4.410; lift 1.2 m 3.4; 9.5: 74.398.
        # Port: 4.410, lift 3.4, positioning 1.5: 83.708. The box on the fork 6, the others from the rack 2 + 6 each.
        assert [(to, end) for _, to, _, end in world.path()[:9]] == [
            ("1-02-1", 11242), ("1-02-1", 20628), ("2-05-3", 39484), ("4-03-2", 74398), ("out", 83708),
            ("out", 89708), ("out", 97708), ("out", 105708), ("out", 113708),
        ]  # fmt: skip

    def test_one_box_on_board_needs_no_transfer(self):
        """A robot for one box has no rack on board: every handling takes 6 s."""
        world = World(robots={"carry": 1}, policy=STAY, start=False)
        world.truck(2)
        ready(world).run(100)
        # Each: pick 6 at the port (the second after a drive back, 2.928 + 1.5), drive 2.928, positioning 1.5, place 6;
        # the second box stands one tier up: lift 1.386, and back on the first way down nothing.
        assert [end - start for _, _, start, end in world.path()[:4]] == [6000, 10428, 10428, 11814]

    def test_dual_command_saves_a_way(self):
        """A put-away and a retrieval share a tour: in with one box, out with the other."""
        world = World(policy=STAY, start=False)
        world.stock_box("2-05-3", 1, 2, age=60)
        world.truck(1)
        world.order(15)
        ready(world).run(200)
        assert world.names(f["to_place"] for f in world.facts("task_created")) == ["out", "1-01-1"]
        # Pick 6; 1-01-1: 2.928, 1.5 + 6: 16.428; on to 2-05-3: 3.8 m 3.8/1.5 + 2.143 = 4.676, lift 2.88 m 6.76,
        # 1.5 + 6: 35.364; port 13.604 + 6.76 + 1.5: 57.228; place 6: 63.228.
        assert [(to, end - 1) for _, to, _, end in world.path()[:5]] == [
            ("in", 6000), ("1-01-1", 16428), ("2-05-3", 35364), ("out", 57228), ("out", 63228),
        ]  # fmt: skip
        assert world.facts("tour_started") == [
            {"time": 1, "robot": 0, "tour": 0, "put_aways": 1, "retrievals": 1}
        ]

    def test_single_command_makes_two_tours(self):
        """Under single command the order goes first and the put-away follows in a tour of its own."""
        world = World(policy=STAY, tour={"command": "single"}, start=False)
        world.stock_box("2-05-3", 1, 2, age=60)
        world.truck(1)
        world.order(15)
        ready(world).run(200)
        # Order: 47.800 as above. Put-away: from the outbound port across 2.7 m 3.928 + positioning 1.5, pick 6: 59.228;
        # 2.928 + 1.5 + 6: 69.656.
        assert [(to, end - 1) for _, to, _, end in world.path()[:5]] == [
            ("2-05-3", 19936), ("out", 41800), ("out", 47800), ("in", 59228), ("1-01-1", 69656),
        ]  # fmt: skip
        assert [(f["put_aways"], f["retrievals"]) for f in world.facts("tour_started")] == [(0, 1), (1, 0)]

    @pytest.mark.parametrize("axes", ["sequential", "simultaneous"])
    @pytest.mark.parametrize("slot", ["2-01-5", "3-13-1", "1-05-3"])
    def test_idle_second_robot_changes_nothing(self, axes, slot):
        """A job takes as long with a second robot that never moves as without one."""
        done = []
        for count in (1, 2):
            world = World(robots={"count": count, "axes": axes}, policy=STAY)
            world.stock_box(slot, 0, 4)
            world.order(15)
            world.run(300)
            done.append([f["time"] for f in world.facts("task_done")])
        assert done[0] == done[1]

    def test_crane_drives_and_lifts_at_once(self):
        """With simultaneous axes the slower of drive and lift counts."""
        world = World(robots={"axes": "simultaneous"}, policy=STAY)
        world.stock_box("2-05-3", 1, 2)
        world.order(15)
        world.run(100)
        # max(5.676, 6.760) + 7.5 = 14.260; back max(13.604, 6.760) + 1.5 = 29.364; place 6: 35.364.
        assert [end for _, _, _, end in world.path()[:3]] == [14260, 29364, 35364]


class TestTourWait:
    def test_tour_waits_to_fill(self):
        """A robot waits for more boxes from the truck, no longer than max_wait_s after the first."""
        world = World(policy=STAY, people={"unload_s": 40}, tour={"max_wait_s": 90}, robots={"carry": 4})
        world.truck(9)
        world.run(135)
        # Boxes are received at 40, 80, 120 s ...; the first was there at 40 and waits until 130: three boxes go.
        assert [(f["time"], f["put_aways"]) for f in world.facts("tour_started")] == [(130_000, 3)]
        assert ("wait_tour", "in") in [stretch[:2] for stretch in world.path()]

    def test_full_tour_does_not_wait(self):
        """A tour that is full starts at once."""
        world = World(policy=STAY, people={"unload_s": 40}, tour={"max_wait_s": 900}, robots={"carry": 2})
        world.truck(9)
        world.run(85)
        assert [(f["time"], f["put_aways"]) for f in world.facts("tour_started")] == [(80_000, 2)]

    def test_last_box_is_waited_for(self):
        """The last box of a truck is expected until it is received, also while it is in somebody's hands."""
        world = World(policy=STAY, people={"unload_s": 40}, tour={"max_wait_s": 900}, robots={"carry": 4})
        world.truck(4)
        world.run(165)
        assert [(f["time"], f["put_aways"]) for f in world.facts("tour_started")] == [(160_000, 4)]

    def test_nothing_expected_nothing_waited(self):
        """When no truck is being unloaded a single box goes at once."""
        world = World(policy=STAY, tour={"max_wait_s": 900})
        world.truck(1)
        world.run(60)
        assert [f["time"] for f in world.facts("tour_started")] == [0]

    def test_an_order_ends_the_wait(self):
        """An order that comes in starts the tour, with the boxes that are there."""
        world = World(policy=STAY, people={"unload_s": 40}, tour={"max_wait_s": 900})
        world.stock_box("1-03-1", age=60)
        world.truck(9)
        world.at(50_000, lambda: world.order(15))
        world.run(55)
        started = world.facts("tour_started")
        assert [(f["time"], f["put_aways"], f["retrievals"]) for f in started] == [(50_000, 1, 1)]


# -- Ports, aisles, slots ------------------------------------------------------------------------------

IN_OUT = [
    {"name": "in", "aisle": 1, "serves": "in"},
    {"name": "out", "aisle": 2, "serves": "out", "out_places": 1},
]


class TestPorts:
    def test_full_port_blocks_the_robot(self):
        """With one place at the outbound port, the second box waits until the first has been checked."""
        world = World(policy=STAY, people={"check_s": 1000}, ports=IN_OUT)
        for _ in range(2):
            world.stock_box("3-01-2")
        world.order(30)
        world.run(2000)
        # 3-01-2 (cross 3.928, turn 4, 1.5 m 2.928, lift 1.2 m 3.4): 14.256 + 7.5 = 21.756; next tier 1.386 + 8:
        # 31.142; port: 2.928 + lift 1.44 m 3.88 + 1.5: 39.450; the first box comes out of the rack, 2 + 2 + 6: 49.450.
        # It is checked until 1049.450; then the second, 2 + 6.
        assert world.path(after=31_141) == [
            ("work", "out", 31142, 39450), ("work", "out", 39450, 49450),
            ("wait_port", "out", 49450, 1_049_450), ("work", "out", 1_049_450, 1_057_450),
            ("idle", "out", 1_057_450, 2_000_000),
        ]  # fmt: skip

    def test_nobody_empties_the_port(self):
        """A port that nobody empties holds the robot for good; nothing else happens to it."""
        world = World(policy=STAY, people={"count": 0}, ports=IN_OUT)
        for _ in range(3):
            world.stock_box("3-01-2")
        world.order(30)
        world.run(24 * 3600)
        assert world.path()[-1][:2] == ("wait_port", "out")
        assert len(world.facts("task_done")) == 1

    def test_robots_share_a_port(self):
        """Two robots that fetch at one port come one after the other; the second waits for the first to leave."""
        world = World(
            robots={"count": 2, "carry": 1}, policy={"dwell": "port", "allocation": "random"}, start=False
        )
        world.truck(2)
        ready(world).run(60)
        picks = [[s for s in world.stretches(r) if s.to_place == world.layout.inbound] for r in (0, 1)]
        first = next(s for s in picks[0] if s.task != NONE)
        second = next(s for s in picks[1] if s.activity == WAIT_PORT)
        assert (first.start, first.end, second.start) == (1, 6001, 1)
        assert second.end >= first.end


class TestAisles:
    def two(self, slots, **robots):
        """Two robots of one box each, one order for each slot, from time 0."""
        world = World(robots={"count": 2, "carry": 1, **robots}, policy=STAY)
        for name in slots:
            world.stock_box(name)
            world.order(15)
        return world.run(300)

    def test_second_robot_waits_for_the_aisle(self):
        """One robot in an aisle: the second waits at its place until the first is back at the mouth."""
        world = self.two(["1-05-1", "2-09-1"])
        # Robot 0: in 5.676, 1.5 + 6: 13.176; out to the mouth 5.676: 18.852. Only then robot 1 may go in:
        # 9.1/1.5 + 2.143 = 8.210, + 7.5: 34.562.
        assert world.path(0)[:2] == [("work", "1-05-1", 0, 13176), ("work", "mouth-1", 13176, 18852)]
        assert world.path(1)[:2] == [("wait_aisle", "in", 0, 18852), ("work", "2-09-1", 18852, 34562)]

    def test_robots_pass_when_allowed(self):
        """With passing the second robot goes in at once."""
        world = self.two(["1-05-1", "2-09-1"], passing=True)
        assert [world.path(robot)[0][:3] for robot in (0, 1)] == [
            ("work", "1-05-1", 0),
            ("work", "2-09-1", 0),
        ]

    def test_slot_worked_on_is_locked(self):
        """With passing, a robot that wants the slot of another waits, and the wait is recorded as a conflict."""
        world = self.two(["1-05-1", "1-05-1"], passing=True)
        # Robot 0 is done at 13.176 and leaves; robot 1 has waited at the port and starts then: tier 1, lift 1.386.
        assert world.path(0)[0] == ("work", "1-05-1", 0, 13176)
        assert world.path(1)[:2] == [
            ("wait_conflict", "in", 0, 13176), ("work", "1-05-1", 13176, 13176 + 5676 + 1386 + 7500),
        ]  # fmt: skip

    def test_rested_robot_locks_its_slot(self):
        """A robot that rests at a slot and is called to work there locks it as any other does."""
        world = World(robots={"count": 2, "carry": 1, "passing": True}, policy=STAY)
        world.truck(1)
        world.run(60)
        assert world.path(0)[-1][:2] == ("idle", "1-01-1")
        world.stock_box("1-01-1")
        for _ in range(2):
            world.order(15)
        world.run(200)
        at = world.slot("1-01-1")
        work = [
            s for r in (0, 1) for s in world.stretches(r, after=59_999) if s.to_place == at and s.task != NONE
        ]
        handling = sorted((s.start, s.end, s.robot) for s in work if s.activity != WAIT_CONFLICT)
        assert [robot for *_, robot in handling] == [0, 1]
        assert handling[1][0] >= handling[0][1]
        assert "wait_conflict" in [what for what, *_ in world.path(1)]

    def test_other_aisle_is_free(self):
        """Robots in different aisles do not wait for each other."""
        world = self.two(["1-05-1", "4-05-1"])
        assert [world.path(robot)[0][0] for robot in (0, 1)] == ["work", "work"]

    def test_waiting_robots_go_in_turn(self):
        """What one robot has at a time goes to the one that has waited longest."""
        world = World(robots={"count": 4, "carry": 1}, policy=STAY)
        for name in ("1-05-1", "2-09-1", "1-02-1", "2-03-1"):
            world.stock_box(name)
            world.order(15)
        world.run(600)
        entered = [
            (s.start, s.robot)
            for robot in range(4)
            for s in world.stretches(robot)
            if s.to_place < world.layout.slots and s.activity != IDLE
        ]
        assert [robot for _, robot in sorted(entered)] == [0, 1, 2, 3]

    def test_lock_without_waiting_is_free(self):
        """A lock that nobody waits for is free after its release."""
        lock = Lock()
        lock.owner = 3
        lock.release()
        assert lock.owner == NONE

    @pytest.mark.parametrize("dwell", sorted(DWELL))
    @pytest.mark.parametrize("passing", [False, True])
    def test_resting_robot_blocks_nobody(self, dwell, passing):
        """Whatever the dwell point, a robot at rest keeps neither an aisle nor a slot from another."""
        world = World(
            robots={"count": 2, "carry": 4, "passing": passing}, policy={"dwell": dwell, "allocation": "first-free"},
            rows=2, columns=1, levels=1, boxes_per_slot=5,
        )  # fmt: skip
        world.truck(1)
        world.run(600)  # robot 0 has put a box away and rests
        world.fleet.robots[0].wake = None  # and is not woken by what follows
        world.order(15)
        world.run(600)
        assert len(world.facts("order_handed_over")) == 1


class TestRest:
    @pytest.mark.parametrize(
        ("dwell", "place"),
        [
            ("port", "in"),
            ("outbound", "out"),
            ("stay", "1-01-1"),
            ("charger", "charger-1"),
            ("centre", "1-03-1"),
        ],
    )
    def test_robot_rests_at_its_dwell_point(self, dwell, place):
        """After its work a robot drives to its dwell point and stands there."""
        # One row of five columns: from the middle one all are nearest.
        world = World(policy={"dwell": dwell}, rows=1, columns=5, levels=1)
        world.truck(1)
        world.run(300)
        last = world.stretches()[-1]
        assert (last.activity, last.to_place, last.task) == (IDLE, world.slot(place), NONE)

    def test_park_by_hand(self):
        """From column 1 to the outbound port: out 2.928, turn 4, cross 3.928, positioning 1.5."""
        world = World(policy={"dwell": "outbound"})
        world.truck(1)
        world.run(100)
        # The robot has gone to the outbound port first (3.928 + 1.5), then for the box (5.428 and pick 6), then to
        # 1-01-1 (2.928 + 7.5). But work comes at time 0 while it parks; it is taken up when it has parked.
        assert [(what, to, end - start) for what, to, start, end in world.path()[:5]] == [
            ("park", "out", 5428), ("work", "in", 11428), ("work", "1-01-1", 10428), ("park", "out", 12356),
            ("idle", "out", 100_000 - 39_640),
        ]  # fmt: skip

    def test_work_wakes_a_resting_robot(self):
        """An idle robot starts in the very millisecond in which work comes."""
        world = World(policy=STAY)
        world.stock_box("1-05-1")
        world.at(123_456, lambda: world.order(15))
        world.run(200)
        assert world.path()[:2] == [("idle", "in", 0, 123_456), ("work", "1-05-1", 123_456, 123_456 + 13_176)]

    def test_each_task_wakes_a_robot(self):
        """Two tasks of one moment wake two robots."""
        world = World(robots={"count": 3, "carry": 1}, policy=STAY)
        for name in ("1-05-1", "4-05-1"):
            world.stock_box(name)

        def two_orders():
            world.order(15)
            world.order(15)

        world.at(10_000, two_orders).run(11)
        assert [world.path(robot)[-1][0] for robot in range(3)] == ["work", "work", "idle"]


# -- Battery -------------------------------------------------------------------------------------------


class TestBattery:
    def test_robot_charges_below_and_resumes_above(self):
        """Below charge_below after a tour the robot charges, up to resume_above and no further; numbers by hand."""
        world = World(
            robots={"run_h": 1, "charge_h": 0.5, "charge_below": 0.25, "resume_above": 0.8, "idle_draw": 0},
            policy=STAY,
        )  # fmt: skip
        world.warehouse.visit(world.slot("1-01-1"), 2_800_000)
        world.run(8 * 3600)
        # 2.928 + 1.5 + 2800 = 2804.428 s of 3600 are used: 795.572 left, less than 900. To the charger 2.928 + 1.5:
        # 791.144, 220 permille. Up to 2880 at 2 s of work a second: (2880 - 791.144)/2 = 1044.428 s.
        done, there, full = 2_804_428, 2_808_856, 3_853_284
        assert world.path()[:4] == [
            ("work", "1-01-1", 0, done), ("go_charge", "charger-1", done, there),
            ("charge", "charger-1", there, full), world.path()[3],
        ]  # fmt: skip
        assert [(f["time"], f["permille"]) for f in world.facts("battery")][:2] == [(there, 220), (full, 800)]

    def test_tour_is_not_interrupted(self):
        """A robot charges only after its tour ends, however low it is."""
        world = World(robots={"run_h": 1, "idle_draw": 0}, policy=STAY)
        for column in range(1, 5):
            world.warehouse.visit(world.slot(f"1-{column:02}-1"), 850_000)
        world.run(8 * 3600)
        # Four visits of 850 s use 3400 s and more of the 3600: charging starts after the fourth.
        activities = [what for what, *_ in world.path()]
        assert activities[:6] == ["work"] * 4 + ["go_charge", "charge"]

    def test_idle_robot_runs_low(self):
        """Standing draws idle_draw of the working draw; an idle robot goes to charge by itself."""
        world = World(robots={"run_h": 1, "charge_h": 1, "idle_draw": 0.5}, policy=STAY)
        world.run(10 * 3600)
        # 0.75 h of work last 1.5 h at half the draw: 5400 s; then 3.. ms of rounding; charging from 0.25 (less the drive
        # of 1.5 s positioning: port and charger stand together) to 0.8 takes 0.55 h = 1980 s + 1.5.
        idle, go, charge = world.path()[:3]
        assert (idle[0], go[0], charge[0]) == ("idle", "go_charge", "charge")
        assert idle[3] == pytest.approx(5_400_000, abs=5)
        assert charge[3] - charge[2] == pytest.approx(1_981_500, abs=5)

    def test_waiting_draws_like_standing(self):
        """A night before a full port costs idle_draw of the battery; driving and handling cost all of it."""
        world = World(
            robots={"run_h": 2},
            policy=STAY,
            people={"count": 1},
            calendar={"shifts": [["14:00", "20:00"]]},
            ports=IN_OUT,
        )
        for _ in range(3):
            world.stock_box("3-01-2")
        world.order(45)
        world.run(14.1 * 3600)
        stood = [s for s in world.stretches()[:-1] if s.planned_end == NONE]
        moved = [s for s in world.stretches() if s.planned_end != NONE]
        assert [s.activity for s in stood] == [WAIT_PORT]
        assert stood[0].end == 14 * HOUR
        # Two hours less the minute of work less 2 % of the nearly 14 h.
        spent = sum(s.end - s.start for s in moved) + 0.02 * sum(s.end - s.start for s in stood)
        assert 1_000_000 < spent < 1_100_000
        assert world.fleet.robots[0].charge_ms == pytest.approx(2 * HOUR - spent, abs=1)

    def test_battery_is_never_below_zero(self):
        """No battery fact shows less than nothing or more than all."""
        world = World(robots={"run_h": 0.05, "charge_h": 0.1, "charge_below": 0.5, "resume_above": 0.9})
        for slot in range(0, 100, 7):
            world.stock_box(slot)
        for _ in range(15):
            world.order(15)
        world.run(4 * 3600)
        levels = [f["permille"] for f in world.facts("battery")]
        assert levels
        assert min(levels) >= 0
        assert max(levels) <= 1000

    def test_charging_at_the_dwell_point(self):
        """A robot that rests at the charger charges meanwhile, and says so at the beginning and the end."""
        world = World(
            robots={"run_h": 1, "charge_h": 0.5, "idle_draw": 0}, policy={"dwell": "charger"},
        )  # fmt: skip
        world.warehouse.visit(world.slot("1-01-1"), 1_000_000)
        world.at(2_000_000, lambda: world.warehouse.visit(world.slot("1-01-1"), 0))
        world.run(2100)
        # At the charger with 3600 - 1004.428 - 4.428 = 2591.144 s, 720 permille; full after 504.428 s at 2 a second, long
        # before it is called at 2000 s. That costs 2 x 4.428: 3591.144 s, 998 permille.
        assert [f["permille"] for f in world.facts("battery")] == [720, 1000, 998]

    def test_one_charger_for_two(self):
        """The second robot waits for the charger, with its wait recorded, and charges after the first."""
        world = World(robots={"count": 2, "run_h": 1, "charge_h": 0.5, "idle_draw": 0, "carry": 1}, policy=STAY,
                      tour={"command": "single"})  # fmt: skip
        for name in ("1-01-1", "4-01-1"):
            world.warehouse.visit(world.slot(name), 2_800_000)
        world.run(2 * 3600)
        charges = [[s for s in world.stretches(robot) if s.activity == CHARGE] for robot in (0, 1)]
        assert [len(c) for c in charges] == [1, 1]
        # Robot 0 comes first, its slot being nearer.
        assert charges[1][0].start >= charges[0][0].end
        assert "wait_charger" in [what for what, *_ in world.path(1)]

    def test_no_charging_while_charge_holds(self):
        """A robot above the limit goes on working."""
        world = World(robots={"run_h": 1, "idle_draw": 0}, policy=STAY)
        world.warehouse.visit(world.slot("1-01-1"), 2_600_000)
        world.run(4 * 3600)
        assert [f for f in world.stretches() if f.activity == GO_CHARGE] == []


# -- Dispatch and dwell rules ------------------------------------------------------------------------------


class Waiting(DispatchView):
    """A dispatch view of made-up waiting times, in minutes."""

    __slots__ = ("_minutes",)

    def __init__(self, **minutes):
        classes = {
            "issue": ISSUE,
            "put_away": PUT_AWAY,
            "loose": LOOSE_RETURN,
            "empties": EMPTIES,
            "count": COUNT,
        }
        self._minutes = {classes[name]: value for name, value in minutes.items()}

    def waiting_since_ms(self, task_class):
        minutes = self._minutes.get(task_class)
        return NONE if minutes is None else minutes * 60_000

    @property
    def ageing_ms(self):
        return 30 * 60_000.0


class TestDispatch:
    @pytest.mark.parametrize(
        ("waiting", "priority", "oldest", "put_away_first"),
        [
            ({}, NONE, NONE, NONE),
            ({"count": 0}, COUNT, COUNT, COUNT),
            ({"issue": 0, "put_away": 0}, ISSUE, ISSUE, PUT_AWAY),
            # 29 min lift a put-away by 29/30 of a class: 3.97 < 4; 31 min: 4.03 > 4.
            ({"issue": 0, "put_away": 29}, ISSUE, PUT_AWAY, PUT_AWAY),
            ({"issue": 0, "put_away": 31}, PUT_AWAY, PUT_AWAY, PUT_AWAY),
            # Counts need four classes, two hours.
            ({"issue": 0, "count": 119}, ISSUE, COUNT, ISSUE),
            ({"issue": 0, "count": 121}, COUNT, COUNT, ISSUE),
            ({"loose": 5, "empties": 6}, LOOSE_RETURN, EMPTIES, LOOSE_RETURN),
        ],
    )
    def test_rules_by_hand(self, waiting, priority, oldest, put_away_first):
        """Classes by priority with ageing of 30 min a class, by age alone, or put-aways first."""
        view = Waiting(**waiting)
        named = {name: rule(view) for name, rule in DISPATCH.items()}
        assert named["priority"] == priority
        assert named["oldest-first"] == oldest
        assert named["put-away-first"] == put_away_first

    def test_view_tells_the_oldest(self):
        """The view gives the age of the oldest task of a class, and takes no attributes."""
        world = World(start=False)
        fleet = world.fleet
        fleet.waiting[ISSUE].extend([Task(0, ISSUE, 0, 0, 0, -500), Task(1, ISSUE, 1, 0, 0, -100)])
        view = DispatchView(fleet)
        assert (view.waiting_since_ms(ISSUE), view.waiting_since_ms(COUNT)) == (500, NONE)
        with pytest.raises(AttributeError):
            view.ageing_ms = 1

    def test_priority_decides_what_goes_first(self):
        """With one box at a time and single command, the order is served before the older put-away."""
        world = World(robots={"carry": 1}, policy=STAY, tour={"command": "single"}, start=False)
        world.stock_box("1-05-1", age=60)
        world.truck(1)
        world.order(15)
        ready(world).run(300)
        done = [f["task"] for f in world.facts("task_done")]
        classes = {f["task"]: f["task_class"] for f in world.facts("task_created")}
        assert [classes[task] for task in done] == [ISSUE, PUT_AWAY]

    def test_stuck_orders_let_others_pass(self):
        """Orders that cannot be taken now do not hold up put-aways, under single command either."""
        world = World(robots={"carry": 1}, policy=STAY, tour={"command": "single"})
        world.warehouse.locate = lambda task: task.kind != ISSUE
        world.stock_box("1-05-1")
        world.order(15)
        world.truck(1)
        world.run(300)
        assert [f["task"] for f in world.facts("task_done")] == [1]

    def test_stuck_put_aways_let_counts_pass(self):
        """In a full store, put-aways that find no slot at pickup do not hold up a count."""
        world = World(
            policy={"dwell": "stay", "decide_at": "pickup"}, rows=1, columns=1, levels=1, boxes_per_slot=1
        )
        world.stock_box("1-01-1")
        world.truck(1)
        world.run(60)
        task = world.warehouse.visit(world.slot("1-01-1"), 5000)
        world.run(3600)
        assert [f["task"] for f in world.facts("task_done")] == [task.number]

    def test_dwell_without_charger(self):
        """Where there is no charger, the charger rule names the inbound port."""
        assert DWELL["charger"](DwellView(inbound=7, outbound=8, chargers=(), centre=NONE)) == 7


# -- Visits ------------------------------------------------------------------------------------------------


class TestVisits:
    def test_visits_in_the_best_order(self):
        """A tour of visits calls at its slots on the shortest way."""
        world = World(policy=STAY, start=False)
        for column in (9, 2, 12, 5):
            world.warehouse.visit(world.slot(f"1-{column:02}-1"), 1000)
        ready(world).run(300)
        called = [to for what, to, *_ in world.path() if what == "work"]
        assert called in (["1-02-1", "1-05-1", "1-09-1", "1-12-1"], ["1-12-1", "1-09-1", "1-05-1", "1-02-1"])

    def test_visit_by_hand(self):
        """A visit is the drive, 1.5 s of positioning and its service."""
        world = World(policy=STAY)
        world.warehouse.visit(world.slot("2-05-3"), 20_000)
        world.run(60)
        # 5.676, lift 2.4 m 5.8: 11.476 + 1.5 + 20.
        assert world.path()[0] == ("work", "2-05-3", 0, 32_976)

    def test_visits_yield_to_an_order(self):
        """An order that comes during a tour of visits is served after the stop under way; the rest waits again."""
        world = World(policy=STAY, start=False)
        world.stock_box("1-01-1")
        visits = [world.warehouse.visit(world.slot(f"1-{column:02}-1"), 60_000) for column in (3, 6, 9)]
        ready(world)
        world.at(70_000, lambda: world.order(15))
        world.run(900)
        # 1.9 + 1.5 = 3.4 m: 4.410 + 61.5: the first visit ends at about 66 s, the second (2.85 m: 4.036) at 131.4 s.
        order = [f["task"] for f in world.facts("task_done")]
        issue = world.facts("task_created", task_class=ISSUE)[0]["task"]
        assert order == [visits[0].number, visits[1].number, issue, visits[2].number]
        assert [f["task"] for f in world.facts("task_returned")] == [visits[2].number]

    def test_visits_that_lead_make_a_stop(self):
        """A tour of visits that was named although an order waits calls at one slot before it yields."""
        world = World(policy={"dwell": "stay", "dispatch": "oldest-first"}, start=False)
        world.stock_box("1-01-1")
        for column in (3, 6):
            world.warehouse.visit(world.slot(f"1-{column:02}-1"), 1000)
        world.run(1)
        world.order(15)
        world.start()
        world.run(300)
        # Oldest first: a visit, then urgent work takes over, then the older visit again, then the order.
        assert [f["task"] for f in world.facts("task_done")] == [0, 1, 2]
        assert [f["task"] for f in world.facts("task_returned")] == [1]

    def test_visits_go_on_without_urgent_work(self):
        """Another visit that comes meanwhile does not end the tour."""
        world = World(policy=STAY, start=False)
        for column in (3, 6):
            world.warehouse.visit(world.slot(f"1-{column:02}-1"), 60_000)
        ready(world)
        world.at(30_000, lambda: world.warehouse.visit(world.slot("1-09-1"), 1000))
        world.run(900)
        assert world.facts("task_returned") == []
        assert len(world.facts("tour_started")) == 2

    def test_visits_of_a_tour_are_bounded(self):
        """A tour has at most 2 x carry visits."""
        world = World(robots={"carry": 2}, policy=STAY, start=False)
        for column in range(1, 10):
            world.warehouse.visit(world.slot(f"1-{column:02}-1"), 0)
        ready(world).run(600)
        tours = [f["tour"] for f in world.facts("task_assigned")]
        assert [tours.count(tour) for tour in sorted(set(tours))] == [4, 4, 1]


# -- Digging in free stacks ----------------------------------------------------------------------------------


def stacks(*, robots=None, **layout):
    """Two rows of two slots of 10 boxes in free stacks of 5, and a top gripper that stays where it is."""
    params = {"rows": 2, "columns": 2, "levels": 1, **layout}
    return World(robots={**STACKS, **(robots or {})}, policy=STAY, **params)


def pile(world, slot, boxes, column=0):
    """A stack of boxes, the lowest the oldest; gives their numbers from below."""
    return [world.stock_box(slot, column, age=90 - k) for k in range(boxes)]


def standing(world, slot, column=0):
    """The boxes of a stack from below."""
    return [box for box in world.stock.cells[world.slot(slot)][column] if box != NONE]


class TestDigging:
    def test_top_box_needs_no_digging(self):
        """The box on top is taken as it stands: to the slot, then up to its tier."""
        world = stacks()
        pile(world, "1-01-1", 1)
        world.order(15)
        world.run(100)
        # 1.5 m 2.928 + 1.5 to the stack; pick 6: 10.428; port in the same aisle 2.928 + 1.5; place 6.
        assert [(what, end) for what, _, _, end in world.path()[:4]] == [
            ("work", 4428), ("work", 10428), ("work", 14856), ("work", 20856),
        ]  # fmt: skip
        assert world.facts("box_dug") == []

    def test_blockers_go_beside_first(self):
        """With room in the other stack of the slot, blockers are set down there, the top one lowest."""
        world = stacks()
        low, middle, top = pile(world, "1-01-1", 3)
        world.order(15)
        world.run(100)
        assert standing(world, "1-01-1", 0) == []
        assert standing(world, "1-01-1", 1) == [top, middle]
        assert [(f["box"], f["slot"], f["to_place"]) for f in world.facts("box_dug")] == [
            (top, 0, 0),
            (middle, 0, 0),
        ]
        # At the stack at 4.428. Tiers are 0.2 m: up 0.4 m 1.789, pick 6: 12.217; down 0.4 m, place 6: 20.006; up 0.2 m
        # 1.265 + 6: 27.271; on the first blocker, at 0.2 m, 6: 33.271; down 1.265, pick 6: 40.536.
        assert [(what, end) for what, _, _, end in world.path()[:6]] == [
            ("work", 4428), ("dig", 12217), ("dig", 20006), ("dig", 27271), ("dig", 33271), ("work", 40536),
        ]  # fmt: skip
        assert [f["box"] for f in world.facts("meters_issued")] == [low]

    def test_blockers_wait_on_board(self):
        """Without another stack, blockers wait on board and go back in their old order."""
        world = stacks(boxes_per_slot=5)
        low, middle, top = pile(world, "1-01-1", 3)
        world.order(15)
        world.run(100)
        assert standing(world, "1-01-1") == [middle, top]
        assert [f["box"] for f in world.facts("box_dug")] == [top, middle]
        assert [f["box"] for f in world.facts("meters_issued")] == [low]
        # 12.217 as above; down 0.2 m 1.265, fork free 2, pick 6: 21.482; the same for the wanted box: 30.747. Restacking:
        # middle is in the rack, and the wanted box on the fork: 2 + 2 + 6: 40.747; top: up 0.2 m 1.265 + 2 + 6: 50.012.
        assert [(what, end) for what, _, _, end in world.path()[:6]] == [
            ("work", 4428), ("dig", 12217), ("dig", 21482), ("work", 30747), ("dig", 40747), ("dig", 50012),
        ]  # fmt: skip

    def test_blockers_go_to_a_neighbour(self):
        """With no other stack and one box on board, blockers go to the nearest slot with room."""
        world = stacks(boxes_per_slot=5, robots={"carry": 1})
        low, middle, top = pile(world, "1-01-1", 3)
        world.order(15)
        world.run(200)
        # 2-01-1 stands opposite, 0 m away; 1-02-1 0.95 m further in.
        assert standing(world, "2-01-1") == [top, middle]
        assert {f["to_place"] for f in world.facts("box_dug")} == {world.slot("2-01-1")}
        assert [f["box"] for f in world.facts("meters_issued")] == [low]

    def test_board_with_little_room(self):
        """Blockers go on board as far as the wanted box still fits; the next ones go to a neighbour."""
        world = stacks(boxes_per_slot=5, robots={"carry": 2})
        _, middle, top = pile(world, "1-01-1", 3)
        world.order(15)
        world.run(300)
        # Two on board: the top blocker and the wanted one. The middle one goes across, the top one back.
        assert standing(world, "2-01-1") == [middle]
        assert standing(world, "1-01-1") == [top]

    def test_nowhere_to_dig_is_tried_again(self):
        """When a blocker fits nowhere the tour is replanned and the task tried again five minutes later."""
        world = stacks(rows=1, columns=1, boxes_per_slot=2, robots={"carry": 1})
        pile(world, "1-01-1", 2)
        world.order(15)
        world.run(700)
        # At the stack at 4.428 s; again 300 s later, at once since it still stands there, and so on.
        assert [f["time"] for f in world.facts("task_returned")] == [4428, 304_428, 604_428]
        assert world.facts("box_dug") == []

    def test_blockers_avoid_wanted_boxes(self):
        """A blocker goes to a stack further away rather than onto a box that an order waits for."""
        world = stacks(boxes_per_slot=5, robots={"carry": 1})
        for slot, age in (("1-01-1", 90), ("1-01-1", 10), ("2-01-1", 80)):
            world.stock_box(slot, 0, age=age)
        world.order(15)
        world.order(15)
        world.run(300)
        # 2-01-1 stands opposite and has room, but its box is the second order's; 1-02-1 and 2-02-1 are equally far.
        assert [f["to_place"] for f in world.facts("box_dug")] == [world.slot("1-02-1")]

    def test_last_stacks_are_used(self):
        """When only stacks with wanted boxes have room, a blocker goes onto one of them: all orders are served."""
        world = stacks(rows=1, boxes_per_slot=3, robots={"carry": 1})
        for slot, age in (("1-01-1", 90), ("1-01-1", 10), ("1-02-1", 80), ("1-02-1", 10)):
            world.stock_box(slot, 0, age=age)
        world.order(15)
        world.order(15)
        world.run(3600)
        assert [f["box"] for f in world.facts("meters_issued")] == [0, 2]

    def test_hopeless_dig_is_not_begun(self):
        """A dig for whose boxes there is no room moves nothing: the task waits, and nothing is counted as dug."""
        # One stack of three, the oldest box below two others, one box on board at a time, and one place elsewhere:
        # the first blocker would fit, the second would not.
        world = stacks(rows=1, boxes_per_slot=3, robots={"carry": 1})
        pile(world, "1-01-1", 3)
        pile(world, "1-02-1", 2)
        world.order(15)
        world.run(600)
        assert world.facts("box_dug") == []
        assert [f["task"] for f in world.facts("task_returned")] == [0, 0]
        assert standing(world, "1-01-1") == [0, 1, 2]

    def test_place_that_a_dig_frees_is_given_on(self):
        """A received box that found no room gets the place that a blocker leaves for good, as soon as it is left."""

        def store(receive_s):
            # Box 0 stands under two others; one of them waits on board, the other takes the last place of 1-02-1.
            world = stacks(rows=1, boxes_per_slot=3, robots={"carry": 2},
                           people={"count": 1, "unload_s": 0, "receive_s": receive_s})  # fmt: skip
            pile(world, "1-01-1", 3)
            pile(world, "1-02-1", 2)
            world.order(15)
            world.truck(1)
            return world

        late = store(3600)
        late.run(600)
        dug_s = late.facts("box_dug")[1]["time"] / 1000
        world = store(dug_s - 1)  # received in the last second before the second blocker is lifted
        world.run(600)
        assert [f["time"] / 1000 for f in world.facts("allocation_failed")] == [dug_s - 1]
        assert [(f["time"] / 1000, f["box"], f["slot"]) for f in world.facts("slot_allocated")] == [
            (dug_s, 5, 0)
        ]

    def test_own_slot_is_a_last_stack_too(self):
        """The other stack of the slot is used as well when it is the last one, though a wanted box stands in it."""
        world = stacks(rows=1, columns=1, boxes_per_slot=6, tiers=3, robots={"carry": 1})
        for column, age in ((0, 90), (0, 10), (1, 80), (1, 10)):
            world.stock_box("1-01-1", column, age=age)
        world.order(15)
        world.order(15)
        world.run(3600)
        assert [f["box"] for f in world.facts("meters_issued")] == [0, 2]

    def test_wanted_boxes_come_top_first(self):
        """Of several wanted boxes in one stack the highest leaves first, so that none is dug."""
        world = stacks()
        pile(world, "1-01-1", 3)
        world.order(45)
        world.run(100)
        taken = [f["box"] for f in world.facts("box_moved", robot=0, from_place=world.slot("1-01-1"))]
        assert (taken, world.facts("box_dug")) == ([2, 1, 0], [])

    def test_stack_is_one_handling_unit(self):
        """handling_unit = stack: boxes wanted from the top of one stack are taken in one pick."""
        times = {}
        for unit in ("box", "stack"):
            world = stacks(robots={"handling_unit": unit})
            pile(world, "1-01-1", 3)
            world.order(45)
            world.run(100)
            times[unit] = [s.planned_end - s.arrive for s in world.stretches()[1:4]]
        # Box by box: 6, then 2 + 6 each; as a stack only the first pick counts.
        assert times == {"box": [6000, 8000, 8000], "stack": [6000, 0, 0]}

    def test_unit_ends_at_a_blocker(self):
        """A wanted box under a blocker is not of the same unit as the one above it: it takes a pick of its own."""
        world = stacks(robots={"handling_unit": "stack"})
        boxes = [world.stock_box("1-01-1", 0, age=age) for age in (90, 10, 90)]
        world.order(30)
        world.run(200)
        assert [f["box"] for f in world.facts("box_dug")] == [boxes[1]]
        last = next(
            s for s in world.stretches() if s.end == world.facts("box_moved", box=boxes[0])[1]["time"]
        )
        assert last.planned_end - last.arrive >= 6000

    def test_dug_box_can_be_had_again(self):
        """A blocker is not offered while it is on the fork, and is after it has been set down."""
        world = stacks()
        _, _, top = pile(world, "1-01-1", 3)
        world.order(15)
        world.run(13)  # on the fork from 12.217 to 20.006
        assert top not in world.ledger.ready
        world.run(10)
        assert top in world.ledger.ready

    def test_wanted_blocker_is_found_at_its_new_place(self):
        """A blocker that an order has reserved meanwhile is fetched from where it was moved to."""
        world = stacks(boxes_per_slot=5, robots={"carry": 1})
        boxes = pile(world, "1-01-1", 2)
        world.order(15)
        world.at(6000, lambda: world.order(15))  # while the top box is being gripped
        world.run(300)
        assert [f["box"] for f in world.facts("meters_issued")] == boxes
        assert len(world.facts("order_handed_over")) == 2

    def test_open_box_is_not_picked_from_the_fork(self):
        """Loose meters of an open box that is being dug are picked after it has been set down and fetched."""
        world = stacks()
        low = world.stock_box("1-01-1", 0, age=90)
        opened = world.stock_box("1-01-1", 0, age=80, meters=9)
        world.order(15)
        # The open box is on the fork from 4.428 + 1.265 + 6 = 11.693 to 11.693 + 1.265 + 6 = 18.958 s.
        world.at(13_000, lambda: world.order(4))
        world.run(300)
        issued = [(f["box"], f["mask"].bit_count()) for f in world.facts("meters_issued")]
        assert issued == [(low, 15), (opened, 4)]
        set_down = world.facts("box_moved", box=opened, to_place=world.slot("1-01-1"))[-1]["time"]
        assert world.facts("meters_picked")[0]["time"] > set_down


# -- Laws of any run -------------------------------------------------------------------------------------------


class Busy:
    """A store with a backlog that never empties: each box out brings one in, each order handed over another one."""

    def __init__(self, *, seed=0, backlog=3, fill=0.6, loose=0.2, make=World, **world):
        self.random = itertools.count(seed)
        self.loose = loose
        layout = {"rows": 4, "columns": 2, "levels": 2, "boxes_per_slot": 10}
        self.world = world = make(skus=2, start=False, **{**layout, **world})
        house = world.warehouse
        for k in range(round(fill * world.layout.boxes)):
            slot = self.draw(world.layout.slots)
            while not world.ledger.column_room[slot] or not sum(world.ledger.column_room[slot]):
                slot = (slot + 1) % world.layout.slots
            column = next(c for c, room in enumerate(world.ledger.column_room[slot]) if room)
            world.stock_box(slot, column, sku=k % 3 % 2, age=30 + self.draw(20))
        house.on_box_out = lambda sku: world.truck(1, sku=sku, age=10 + self.draw(30))
        house.on_hand_over = lambda _: self.order()
        for sku in (0, 1):
            world.truck(2, sku=sku)
        for _ in range(backlog):
            self.order()
        world.start()

    def draw(self, n):
        """A number below n from a small hash, so that nothing depends on the code under test."""
        return (next(self.random) * 2_654_435_761 >> 7) % 1_000_003 % n

    def order(self):
        boxes, sku = 1 + self.draw(4), self.draw(3) % 2
        self.world.order(
            15 * boxes + (1 + self.draw(14) if self.draw(100) < 100 * self.loose else 0), sku=sku
        )

    def handed(self, hours):
        """Orders handed over in each of so many hours."""
        counts = []
        for _ in range(hours):
            before = len(self.world.facts("order_handed_over"))
            self.world.run(3600)
            counts.append(len(self.world.facts("order_handed_over")) - before)
        return counts


CASES = {
    "one robot": {},
    "one box on board": {"robots": {"carry": 1}},
    "single command": {"tour": {"command": "single"}},
    "two robots": {"robots": {"count": 2}},
    "three robots pass": {"robots": {"count": 3, "passing": True}},
    "four robots": {"robots": {"count": 4, "carry": 2}},
    "crane": {"robots": {"axes": "simultaneous", "acceleration_m_per_s2": math.inf}},
    "three pass and stay": {"robots": {"count": 3, "passing": True}, "policy": STAY},
    "stacks": {"robots": {**STACKS, "count": 1, "carry": 2}, "fill": 0.8},
    "two in stacks": {"robots": {**STACKS, "count": 2, "carry": 3}, "fill": 0.8},
    "three pass in stacks": {"robots": {**STACKS, "count": 3, "passing": True}, "fill": 0.85},
    "stack by stack": {"robots": {**STACKS, "handling_unit": "stack", "count": 2}, "fill": 0.7},
    "one port": {"robots": {"count": 2}, "ports": [{"name": "port", "out_places": 2, "in_places": 2}]},
    "port in the aisle": {"robots": {"count": 2}, "ports": [{"name": "port", "x_m": 2.0}]},
    "at pickup": {
        "robots": {"count": 2},
        "policy": {"decide_at": "pickup", "allocation": "random"},
        "fill": 0.95,
    },
    "stacks at pickup": {
        "robots": {**STACKS, "count": 2},
        "policy": {"dwell": "centre", "decide_at": "pickup"},
    },
    "small battery": {"robots": {"count": 3, "run_h": 0.5, "charge_h": 0.4}, "policy": {"dwell": "charger"}},
}


@functools.cache
def busy(case):
    """Six hours of a busy store."""
    store = Busy(people={"count": 2, "unload_s": 20, "check_s": 10, "pick_setup_s": 5}, **CASES[case])
    store.counts = store.handed(6)
    return store


@pytest.mark.parametrize("case", sorted(CASES))
class TestLaws:
    def test_work_goes_on(self, case):
        """Orders are handed over in every hour."""
        assert min(busy(case).counts) > 0

    def test_time_is_without_gaps(self, case):
        """Every instant of a robot belongs to one stretch: each begins where the one before ended, in time and place."""
        world = busy(case).world
        found = stretches_of(world.rows, world.env.now)
        assert sorted(found) == list(range(world.fleet.params.count))
        for stretches in found.values():
            assert stretches[0].start == 0
            for before, after in itertools.pairwise(stretches):
                assert (before.end, before.to_place) == (after.start, after.from_place)
                assert before.start <= before.end

    def test_drives_last_as_long_as_they_should(self, case):
        """Arrival is drive, turn at a mouth come out of, and lift after the start; a crane lifts meanwhile."""
        world = busy(case).world
        travel, crane = world.travel, world.fleet.params.axes == "simultaneous"
        for stretches in stretches_of(world.rows, world.env.now).values():
            height = 0
            for s in stretches:
                if s.arrive != NONE:
                    drive = travel.drive_ms(s.from_place, s.to_place)
                    lift = travel.lift_ms(s.height_mm - height)
                    turns = (0, travel.turn_ms) if s.from_place in world.layout.mouths and drive else (0,)
                    if crane:  # the lift may have been under way since an earlier stretch of the same drive
                        took = s.arrive - s.start
                        assert any(drive + turn <= took <= max(drive + turn, lift) for turn in turns)
                    else:
                        assert s.arrive - s.start in [drive + turn + lift for turn in turns]
                    assert s.planned_end >= s.arrive
                height = s.height_mm

    def test_one_robot_in_an_aisle(self, case):
        """Where robots cannot pass, no two are between the slots of one aisle at a time."""
        world = busy(case).world
        layout, robots = world.layout, world.fleet.params
        if robots.passing:
            return
        inside = defaultdict(list)
        for stretches in stretches_of(world.rows, world.env.now).values():
            for s in stretches:
                for aisle in {layout.aisle[p] for p in (s.from_place, s.to_place) if not layout.at_mouth[p]}:
                    inside[aisle].append((s.start, s.end, s.robot))
        assert inside
        for visits in inside.values():
            for (_, end, robot), (start, _, other) in itertools.pairwise(sorted(visits)):
                assert robot == other or start >= end

    def test_one_robot_at_a_slot(self, case):
        """No two robots work on one slot at a time, whether they can pass or not."""
        world = busy(case).world
        at = defaultdict(list)
        for stretches in stretches_of(world.rows, world.env.now).values():
            for s in stretches:
                if s.to_place < world.layout.slots and s.planned_end != NONE:
                    at[s.to_place].append((s.arrive, s.end, s.robot))
        for visits in at.values():
            for (_, end, robot), (start, _, other) in itertools.pairwise(sorted(visits)):
                assert robot == other or start >= end

    def test_board_is_never_overloaded(self, case):
        """A robot never has more boxes on board than it carries, and a tour no more than that each way."""
        world = busy(case).world
        carry, own = (
            world.fleet.params.carry,
            [world.layout.robot_place(r) for r in range(world.fleet.params.count)],
        )
        board = dict.fromkeys(own, 0)
        for f in world.facts("box_moved"):
            for place, change in ((f["from_place"], -1), (f["to_place"], 1)):
                if place in board:
                    board[place] += change
                    assert 0 <= board[place] <= carry
        assert max(max(f["put_aways"], f["retrievals"]) for f in world.facts("tour_started")) <= carry

    def test_fork_stands_at_the_box(self, case):
        """A box is picked or set down by a stretch that ends then, at its slot and at the height of its tier."""
        world = busy(case).world
        layout = world.layout
        ends = {
            (s.robot, s.end): s
            for stretches in stretches_of(world.rows, world.env.now).values()
            for s in stretches
            if s.planned_end != NONE and s.end > s.start
        }
        tier_of = {}
        for f in world.facts("box_moved"):
            if f["robot"] == NONE:
                if f["tier"] != NONE:
                    tier_of[f["box"]] = f["tier"]
                continue
            slot, tier = f["to_place"], f["tier"]
            if f["from_place"] < layout.slots:
                slot, tier = f["from_place"], tier_of[f["box"]]
            if slot < layout.slots:
                tier_of[f["box"]] = tier
                stretch = ends[f["robot"], f["time"]]
                assert stretch.to_place == slot
                assert stretch.height_mm == layout.z_mm[slot] + tier * layout.tier_mm

    def test_tasks_end_once(self, case):
        """A task is assigned, and returned or done, in turn; what is done stays done."""
        state = {}
        moves = {
            "task_created": {None: "waits"}, "task_assigned": {"waits": "under way"},
            "task_returned": {"under way": "waits"}, "task_done": {"under way": "done"},
            "task_cancelled": {"waits": "cancelled"},
        }  # fmt: skip
        rows = [
            (seq, kind, row)
            for kind in moves
            for seq, row in zip(
                seqs(busy(case).world.rows, kind), named(busy(case).world.rows, kind), strict=True
            )
        ]
        for _, kind, row in sorted(rows, key=lambda each: each[0]):
            before = state.get(row["task"])
            assert before in moves[kind], (kind, row)
            state[row["task"]] = moves[kind][before]
        assert list(state.values()).count("done") > 50


def seqs(rows, kind):
    from sim.facts import KINDS

    return [k for k, row in enumerate(rows) if row[1] == KINDS[kind].number]


class TestSharing:
    def test_waits_are_recorded(self):
        """Busy robots that share aisles wait for aisles and ports; robots that pass wait for slots instead."""
        narrow, passing = busy("four robots").world, busy("three robots pass").world
        kinds = [{s.activity for r in range(3) for s in world.stretches(r)} for world in (narrow, passing)]
        assert {WAIT_AISLE, WAIT_PORT} <= kinds[0]
        assert WAIT_CONFLICT not in kinds[0]
        assert WAIT_AISLE not in kinds[1]

    @given(
        seed=st.integers(0, 10**6),
        count=st.integers(1, 4),
        carry=st.integers(1, 5),
        stacked=st.booleans(),
        passing=st.booleans(),
        dwell=st.sampled_from(sorted(DWELL)),
        dispatch=st.sampled_from(sorted(DISPATCH)),
        command=st.sampled_from(["single", "dual"]),
        backlog=st.integers(1, 5),
        ports=st.sampled_from(
            [None, [{"name": "p", "out_places": 1, "in_places": 1}], [{"name": "p", "x_m": 2.0}]]
        ),
    )
    @settings(
        max_examples=60, phases=[Phase.explicit, Phase.reuse, Phase.generate]
    )  # shrinking takes minutes
    def test_robots_never_deadlock(
        self, seed, count, carry, stacked, passing, dwell, dispatch, command, backlog, ports
    ):
        """1 to 4 robots in 2 aisles: a backlog keeps being served, in every two hours, whatever they are and do."""
        store = Busy(
            seed=seed, backlog=backlog, fill=0.5, columns=1, levels=1 + seed % 2, ports=ports,
            robots={"count": count, "carry": carry, "passing": passing, **(STACKS if stacked else {})},
            policy={"dwell": dwell, "dispatch": dispatch}, tour={"command": command},
            people={"count": 2, "check_s": 20, "unload_s": 20},
        )  # fmt: skip
        counts = store.handed(4)
        assert min(counts[0] + counts[1], counts[2] + counts[3]) > 0


class TestFleet:
    def test_no_robots_no_work(self):
        """A store without robots records its tasks and nothing happens to them."""
        world = World(robots={"count": 0})
        world.stock_box("1-01-1")
        world.order(15)
        world.run(3600)
        assert len(world.facts("task_created")) == 1
        assert world.facts("robot_stretch") == world.facts("task_assigned") == []

    def test_robots_start_at_the_port(self):
        """At time 0 every robot stands idle at the inbound port."""
        world = World(robots={"count": 3}, policy={"dwell": "port"})
        world.run(1)
        assert [world.path(r) for r in range(3)] == [[("idle", "in", 0, 1000)]] * 3

    def test_post_keeps_tasks_in_turn(self):
        """Tasks of a class are taken in the order in which they came."""
        world = World(robots={"carry": 1}, policy=STAY)
        for name in ("1-09-1", "1-01-1", "1-05-1"):
            world.stock_box(name, age=90 - len(world.stock.place))
            world.order(15)
        world.run(600)
        assert [f["task"] for f in world.facts("task_done")] == [0, 1, 2]
        assert isinstance(world.fleet, Fleet)
