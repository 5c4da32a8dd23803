"""Whether a study's driver lives, as far as that can be seen from here. Pure."""

from sweep.lease import DEAD_AFTER_S, Driver, Holder


class Pulse:
    """Watches the beat of drivers that run elsewhere."""

    def __init__(self) -> None:
        """Begin without one."""
        self._seen: tuple[Driver, str | None] | None = None
        self._changed_s = 0.0

    def lives(self, holder: Holder | None, now_s: float) -> bool:
        """Whether somebody runs the study.

        A driver elsewhere is believed to, until its beat has stood still for as long as
        another one would wait before it takes over.

        Args:
            holder: Whose name stands in the study.
            now_s: Seconds since any fixed moment.
        """
        if holder is None or holder.is_dead:
            return False
        if holder.is_here:
            return True
        seen = holder.driver, holder.beat
        if seen != self._seen:
            self._seen, self._changed_s = seen, now_s
        return now_s - self._changed_s < DEAD_AFTER_S
