"""Hidden units of many nets side by side: which row belongs to which lane.

Row by row side by side they need no padding. Where a batched matrix product wants all
lanes of one width, rows are gathered into lanes of the widest, with rows of zeros.

Letters: P lanes, H_p hidden units of lane p, S = H_1 + ... + H_P, M the largest H_p.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


class LaneRows:
    """The order of S hidden units: those of the first lane, of the second, ...

    Attributes:
        widths: H_1, ..., H_P.
        total: S.
        widest: M.
    """

    def __init__(self, widths: Sequence[int], device: torch.device) -> None:
        """Work out the order.

        Args:
            widths: H_1, ..., H_P, each at least 1.
            device: Where the rows lie.
        """
        self.widths, self.total, self.widest = tuple(widths), sum(widths), max(widths)
        sizes = torch.tensor(self.widths)
        self._lane = torch.repeat_interleave(sizes).to(device)
        starts = torch.cumsum(sizes, 0) - sizes
        unit = torch.arange(self.widest)
        # Where a lane has no such unit, row S: one that the caller keeps at zero.
        padded = torch.where(unit < sizes[:, None], starts[:, None] + unit, self.total)
        self._padded = padded.flatten().to(device)
        self._unpadded = (padded.flatten() < self.total).nonzero().flatten().to(device)

    def spread(self, values: Tensor) -> Tensor:
        """Give each of S rows the value of its lane: (P,) becomes (S, 1)."""
        return values.index_select(0, self._lane).unsqueeze(1)

    def pad(self, rows: Tensor, out: Tensor) -> Tensor:
        """Gather rows into lanes of one width.

        Args:
            rows: Of shape (S + 1, K); the last row is zero.
            out: Where the result goes, of shape (P * M, K).

        Returns:
            The result, of shape (P, M, K).
        """
        torch.index_select(rows, 0, self._padded, out=out)
        return out.view(len(self.widths), self.widest, -1)

    def unpad(self, lanes: Tensor, out: Tensor) -> Tensor:
        """Gather the rows back that `pad` gathered.

        Args:
            lanes: Of shape (P, M, K), contiguous.
            out: Where the result goes, of shape (S, K).

        Returns:
            The result.
        """
        return torch.index_select(lanes.flatten(0, 1), 0, self._unpadded, out=out)

    def sums(self, values: Tensor) -> Tensor:
        """Add up the values of each lane's rows.

        Args:
            values: Of shape (S + 1,); the last one is zero.

        Returns:
            The sums, of shape (P,), each added in an order that never changes.
        """
        lanes = values.index_select(0, self._padded)
        return lanes.view(len(self.widths), self.widest).sum(dim=1)

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
