"""How much of the sweep is left to do. Pure: counts and time are handed in."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """When to propose no further trials.

    Attributes:
        trials: Trials wanted in all; those that failed do not count.
        seconds: Time after which nothing new is begun; None for no limit.
        max_failures: Failed trials in a row after which the sweep gives up.
    """

    trials: int
    seconds: float | None
    max_failures: int

    def wants_more(self, done: int, running: int, elapsed: float) -> bool:
        """Whether one more trial should begin.

        Args:
            done: Trials that are COMPLETE or PRUNED.
            running: Trials that are running now.
            elapsed: Seconds since the sweep began.
        """
        in_time = self.seconds is None or elapsed < self.seconds
        return in_time and done + running < self.trials
