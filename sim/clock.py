"""SimPy's environment with whole milliseconds: time is an `int` in all of the model."""

from simpy import Environment


class Clock(Environment):
    """The simulated clock and its queue of events; starts at 0 and counts milliseconds since time.start."""

    _now: int

    def __init__(self) -> None:
        super().__init__(0)
