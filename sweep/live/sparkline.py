"""A curve as a line of small bars. Pure."""

from collections.abc import Mapping

BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "_.-~=+*#"


def sparkline(
    curve: Mapping[int, float],
    epochs: int,
    width: int,
    span: tuple[float, float],
    bars: str = BARS,
) -> str:
    """Draw a curve: a bar for each epoch, or for the last of several.

    What is still to come, or not known, is blank; so the bars also show how far the
    trial is.

    Args:
        curve: Values by epoch, from 1.
        epochs: Epochs that the trial is to train.
        width: Columns there are.
        span: The values of the lowest and of the highest bar.
        bars: From the lowest to the highest.
    """
    columns = max(1, min(width, epochs))
    drawn = [" "] * columns
    for epoch, value in sorted(curve.items()):
        place = (epoch - 1) * columns // max(epochs, 1)
        drawn[min(place, columns - 1)] = bars[_level(value, span, len(bars))]
    return "".join(drawn)


def _level(value: float, span: tuple[float, float], levels: int) -> int:
    low, high = span
    if high <= low:
        return levels // 2
    share = (value - low) / (high - low)
    return max(0, min(levels - 1, int(share * levels)))
