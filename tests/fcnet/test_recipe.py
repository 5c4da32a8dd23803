"""The setting for CIFAR-10, on data of its shape."""

import torch

from fcnet.recipe import create_solver_instance


def test_the_solver_is_made_for_the_data() -> None:
    """Sizes, dtype and device are those asked for, and an epoch runs."""
    generator = torch.Generator().manual_seed(0)
    data = {
        "X_train": torch.rand(20, 3, 4, 4, generator=generator),
        "y_train": torch.randint(10, (20,), generator=generator),
        "X_val": torch.rand(5, 3, 4, 4, generator=generator),
        "y_val": torch.randint(10, (5,), generator=generator),
    }
    solver = create_solver_instance(data, torch.float64, "cpu")
    solver.train_epoch()
    assert solver.model.params["W1"].shape == (48, 200)
    assert solver.model.params["W1"].dtype == torch.float64
    assert solver.epoch == 1
