"""SimPy's environment with whole milliseconds: time is an `int` in all of the model."""

from simpy import Environment
from simpy.events import URGENT


class Clock(Environment):
    """The simulated clock and its queue of events; starts at 0 and counts milliseconds since time.start."""

    _now: int

    def __init__(self) -> None:
        super().__init__(0)

    def settle(self) -> None:
        """Let what is urgent happen now: a process that was interrupted from outside notices it at once."""
        while self._queue and self._queue[0][0] == self._now and self._queue[0][1] <= URGENT:
            self.step()
