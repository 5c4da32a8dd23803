"""The two-layer network: Linear, ReLU, Linear, softmax.

Letters: D inputs of an example, H hidden units, C classes.
"""

import torch

from fcnet.fully_connected_net import FullyConnectedNet, check_dims


class TwoLayerNet(FullyConnectedNet):
    """A network with one hidden layer, `scores = max(x W1 + b1, 0) W2 + b2`.

    A FullyConnectedNet with the arguments and defaults that the course gives this case.

    Attributes:
        params: W1 (D, H), b1 (H,), W2 (H, C) and b2 (C,), all of one dtype and device.
        reg: Strength of the L2 regularisation of W1 and W2; biases have none.
    """

    def __init__(
        self,
        input_dim: int = 3 * 32 * 32,
        hidden_dim: int = 100,
        num_classes: int = 10,
        weight_scale: float = 1e-3,
        reg: float = 0.0,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
        *,
        seed: int | None = None,
    ) -> None:
        """Draw Gaussian weights and set the biases to zero.

        Args:
            input_dim: D, at least 1.
            hidden_dim: H, at least 1.
            num_classes: C, at least 1.
            weight_scale: Standard deviation of the weights, >= 0.
            reg: Strength of the regularisation, >= 0.
            dtype: A floating dtype.
            device: Where the parameters lie.
            seed: The same seed gives the same weights in every dtype and on every
                device; without one torch's global generator is used.

        Raises:
            ValueError: An argument is out of its range.
        """
        check_dims({"hidden_dim": hidden_dim})
        super().__init__(
            (hidden_dim,),
            input_dim,
            num_classes,
            reg=reg,
            weight_scale=weight_scale,
            seed=seed,
            dtype=dtype,
            device=device,
        )
