"""Hidden units of many nets side by side: which row belongs to which lane.

Row by row side by side they need no padding. A batched matrix product wants all lanes
of one width: where they are not, rows are gathered into lanes of the widest, with rows
of zeros.

Letters: P lanes, H_p hidden units of lane p, S = H_1 + ... + H_P, M the largest H_p,
K columns of whatever stands in the rows.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


class LaneRows:
    """The order of S hidden units: those of the first lane, of the second, ...

    Attributes:
        widths: H_1, ..., H_P.
        total: S.
    """

    def __init__(self, widths: Sequence[int], device: torch.device) -> None:
        """Work out the order.

        Args:
            widths: H_1, ..., H_P, each at least 1.
            device: Where the rows lie.
        """
        self.widths, self.total = tuple(widths), sum(widths)
        self._widest = max(widths)
        self._even = self._widest * len(widths) == self.total
        sizes = torch.tensor(self.widths)
        self._lane = torch.repeat_interleave(sizes).to(device)
        starts = torch.cumsum(sizes, 0) - sizes
        unit = torch.arange(self._widest)
        # Where a lane has no such unit, row S: one that the caller keeps at zero.
        padded = torch.where(unit < sizes[:, None], starts[:, None] + unit, self.total)
        self._padded = padded.flatten().to(device)
        self._unpadded = (padded.flatten() < self.total).nonzero().flatten().to(device)

    def spread(self, values: Tensor) -> Tensor:
        """Give each of S rows the value of its lane: (P,) becomes (S, 1)."""
        return values.index_select(0, self._lane).unsqueeze(1)

    def make_lanes(self, rows: Tensor) -> Tensor:
        """Make room for rows as lanes of one width.

        Args:
            rows: Of shape (S + 1, K) to `pad`, or (S, K) to `unpad` into; contiguous.

        Returns:
            A tensor (P, M, K): the rows themselves where all lanes are of one width.
        """
        if self._even:
            return rows[: self.total].view(len(self.widths), self._widest, -1)
        return rows.new_empty(len(self.widths), self._widest, rows.shape[1])

    def pad(self, rows: Tensor, lanes: Tensor) -> None:
        """Gather rows into lanes of one width, if they are not the rows themselves.

        Args:
            rows: Of shape (S + 1, K); the last row is zero.
            lanes: Where they go, as `make_lanes` made it for them.
        """
        if not self._even:
            torch.index_select(rows, 0, self._padded, out=lanes.flatten(0, 1))

    def unpad(self, lanes: Tensor, rows: Tensor) -> None:
        """Gather rows back from lanes of one width.

        Args:
            lanes: As `make_lanes` made it for the rows.
            rows: Where they go, of shape (S, K).
        """
        if not self._even:
            torch.index_select(lanes.flatten(0, 1), 0, self._unpadded, out=rows)

    def lane(self, name: str, rows: Tensor, number: int) -> Tensor:
        """Return one lane's part of what stands side by side, in the lane's own shape.

        Args:
            name: The parameter that it is, or belongs to: W1, b1, W2 or b2.
            rows: All lanes', of shape (S, K), or (P, K) for b2.
            number: The lane, counted from 0.

        Returns:
            A view: of shape (K, H_p) for W1, (H_p,) for b1, (H_p, K) for W2, (K,)
            for b2.
        """
        if name == "b2":
            return rows[number]
        start = sum(self.widths[:number])
        lane = rows[start : start + self.widths[number]]
        if name == "b1":
            return lane.squeeze(1)
        return lane.T if name == "W1" else lane

    def write(
        self, name: str, rows: Tensor, number: int, value: float | Tensor
    ) -> None:
        """Write one lane's part of what stands side by side.

        Args:
            name: As for `lane`.
            rows: As for `lane`.
            number: As for `lane`.
            value: A tensor of the shape that `lane` returns, or a number for all of it.
        """
        lane = self.lane(name, rows, number)
        if not isinstance(value, Tensor):
            lane.fill_(value)
        elif name == "W1":
            # As it lies in memory: at 1,000 hidden units five times as fast on a CPU.
            lane.T.copy_(value.T)
        else:
            lane.copy_(value)
