"""Run in the image, on its network: whether both stores say the same of the digits.

They are asked by their own clients; nothing here is of sweep.
"""

import os
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.append("/support")
from stores import Stores, assert_stores_agree

NAME, TRIALS = "digits-two-layer", 24


def main() -> None:
    """Compare them trial by trial."""
    at = f"optuna:{os.environ['OPTUNA_PASSWORD']}@postgres/optuna"
    stores = Stores(
        Path.cwd(), f"postgresql+psycopg://{at}", "http://mlflow:5000", NAME
    )
    assert_stores_agree(stores)
    states = Counter(trial.state.name for trial in stores.trials())
    assert sum(states.values()) == TRIALS
    assert set(states) <= {"COMPLETE", "PRUNED"}
    parent, children = stores.runs()
    assert parent.info.status == "FINISHED"
    workers = Counter(run.data.tags["sweep.worker"] for run in children.values())
    with TemporaryDirectory() as folder:
        best = stores.artifact(parent, "best/best.safetensors", Path(folder))
        size = best.stat().st_size
    print(f"== Optuna: {dict(states)}, the same in MLflow, trial by trial")
    print(f"== MLflow: trials by worker {dict(workers)}; best checkpoint {size} bytes")


if __name__ == "__main__":
    main()
