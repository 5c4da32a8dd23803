"""How long does the report of a large sweep take to open, and how big is it?

    python benchmarks/report_opening.py [--trials 500] [--repeat 5]

A study of so many trials of 20 epochs, half of them pruned, is made straight in new
SQLite stores. Its report is opened in Debian's Chromium without a window and without a
network. Printed are: the report's size; the time to write it, imports left out; and, as
the median of some openings with the page's clock, until the page is parsed with all its
scripts run (DOMContentLoaded), until its load event, and until what is first in view is
painted. Plots below are drawn as people come to them: the slowest one is printed, too.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from browser import Browser
from studies import make_study, random_trials
from support import make_experiment
from sweep.report.command import report

SPACE = (
    "model.hidden_dim={int: [32, 1024], log: true}",
    "model.weight_scale={float: [1e-4, 1e-1], log: true}",
    "model.reg={float: [1e-7, 1e-2], log: true}",
    "solver.learning_rate={float: [1e-3, 1.0], log: true}",
)
TIMES = """
const [page] = performance.getEntriesByType("navigation");
const paint = performance.getEntriesByName("first-contentful-paint")[0];
return [page.domContentLoadedEventEnd, page.loadEventEnd, paint ? paint.startTime : 0];
"""
DRAW = """
const done = arguments[0], took = {};
(async () => {
  for (const box of plots) {
    const began = performance.now();
    await draw(box, false);
    took[box.id] = performance.now() - began;
  }
  done(took);
})();
"""


def main() -> None:
    """Make one, open it, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path = make_report(folder, arguments.trials)
        measure(Browser(folder / "chromium"), path, arguments.repeat)


def make_report(folder: Path, trials: int) -> Path:
    """Make a study and write its report."""
    experiment = make_experiment(folder, *SPACE)
    make_study(experiment, random_trials(experiment, trials, 20))
    stores = (
        f"study.storage={experiment.study.storage}",
        f"mlflow.tracking_uri={experiment.mlflow.tracking_uri}",
    )
    began = time.perf_counter()
    path = report(folder / "experiment.yaml", (*stores, *SPACE), folder)
    print(f"written in {time.perf_counter() - began:.1f} s")
    print(f"size {path.stat().st_size / 1e6:.1f} MB")
    return path.resolve()


def measure(browser: Browser, path: Path, repeat: int) -> None:
    """Open the report some times, and draw all of its plots once."""
    try:
        times = []
        for _ in range(repeat):
            browser.open(path.as_uri())
            times.append(browser.driver.execute_script(TIMES))
        names = ("parsed", "loaded", "first paint")
        for name, column in zip(names, zip(*times, strict=True), strict=True):
            print(f"{name} after {median(column) / 1000:.2f} s (n={repeat})")
        browser.driver.set_script_timeout(300)
        took = browser.driver.execute_async_script(DRAW)
        slowest = max(took, key=lambda name: took[name])
        print(f"slowest plot: {slowest}, {took[slowest] / 1000:.2f} s")
    finally:
        browser.close()


if __name__ == "__main__":
    main()
