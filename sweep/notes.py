"""What people read beside the runs in MLflow: descriptions, in Markdown.

Pure. Links lead to pages of MLflow's own UI, relative to wherever it is served.
"""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from sweep.experiment import Experiment
from sweep.paths import EXPERIMENT
from sweep.provenance import Commit
from sweep.saved_view import TRIALS, trials_page
from sweep.trial import State, StudySummary, TrialRecord
from sweep.words import accuracy, last_line, short

OURS = "Searched on"  # how the description of an experiment begins
_ROWS = 10  # of the table of the best trials


def study_note(
    experiment: Experiment,
    summary: StudySummary,
    experiment_id: str,
    runs: Mapping[int, str],
    plots: Sequence[tuple[str, str]] = (),
    commit: Commit | None = None,
) -> str:
    """The description of a study's run.

    Args:
        experiment: What is run.
        summary: The study so far.
        experiment_id: MLflow's experiment.
        runs: The ids of the best trials' runs, by the trials' numbers.
        plots: Pictures among the run's artifacts: the run's id, and the file's name.
        commit: The code's; None if unknown.
    """
    trials = trials_page(experiment_id)
    charts = trials_page(experiment_id, charts=True)
    parts = [
        _headline(experiment, summary),
        f"[All trials, best first]({trials}) · [as charts]({charts})",
        _table(experiment, summary, experiment_id, runs),
        *[_picture(run_id, name) for run_id, name in plots],
        _searched(experiment),
        _again(commit),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def trial_note(
    experiment: Experiment, record: TrialRecord, same_as: int | None = None
) -> str:
    """The line that describes a trial's run.

    Args:
        experiment: Whose trial it is.
        record: What the study knows of it.
        same_as: The trial whose result it took over; None if it was trained.
    """
    said = f"**{record.state.value}**"
    if record.value is not None:
        said += f", {accuracy(record.value)} at epoch {record.epoch}"
    if record.reason is not None:
        said += f", {_plain(last_line(record.reason))}"
    if same_as is not None:
        said += f", taken over from trial {same_as}"
    searched = (key for key in experiment.space if key in record.hparams)
    settings = (f"{key} {short(record.hparams[key])}" for key in searched)
    return " · ".join([said, *settings])


def experiment_note(experiment: Experiment, experiment_id: str, study_run: str) -> str:
    """The description of MLflow's experiment; its first line stands for itself."""
    searched = ", ".join(experiment.space) or "nothing"
    study = f"[The study](#/experiments/{experiment_id}/runs/{study_run})"
    return (
        f"{OURS} {experiment.data.dataset}: {searched}. {study} · "
        f"[{TRIALS}]({trials_page(experiment_id)})\n\n"
        "Each study is a run, described there; its trials are nested under it. "
        f"*Views* has the trials as a table and as charts: *{TRIALS}*.\n"
    )


def _headline(experiment: Experiment, summary: StudySummary) -> str:
    counts = ((state, summary.counts[state]) for state in State if state.is_finished)
    states = ", ".join(f"{count} {state.value}" for state, count in counts if count)
    trials = f"of {experiment.trials} trials: {states or 'none has ended yet'}"
    best = summary.best
    if best is None:
        return f"**No trial is complete yet**, {trials}."
    value = f"accuracy {accuracy(best.value)}" if best.value is not None else "no value"
    at = f"at epoch {best.epoch}"
    return f"**Best: trial {best.number}, validation {value}** {at}, {trials}."


def _table(
    experiment: Experiment,
    summary: StudySummary,
    experiment_id: str,
    runs: Mapping[int, str],
) -> str:
    if not summary.ranking:
        return ""
    columns = ["trial", "state", "accuracy", "epoch", *experiment.space]
    rows = [columns]
    for record in summary.ranking[:_ROWS]:
        name, run_id = f"{record.number:04d}", runs.get(record.number)
        page = f"#/experiments/{experiment_id}/runs/{run_id}"
        value = accuracy(record.value)
        settings = [short(record.hparams.get(key, "-")) for key in experiment.space]
        link = name if run_id is None else f"[{name}]({page})"
        rows.append([link, record.state.value, value, str(record.epoch), *settings])
    return _rows(rows)


def _picture(run_id: str, name: str) -> str:
    return f"![{name}](get-artifact?path={quote(name)}&run_uuid={run_id})"


def _searched(experiment: Experiment) -> str:
    data, study, space = experiment.data, experiment.study, experiment.space
    rows = [["setting", "searched"]]
    rows += [[key, str(distribution)] for key, distribution in space.items()]
    typical = experiment.typical.items()  # without settings that have no meaning here
    fixed = [f"{key} {short(value)}" for key, value in typical if key not in space]
    return "\n\n".join(
        [
            f"### What was searched\n\n{data.dataset}, {data.validation:.0%} of the "
            f"training split held out for validation, normalize: {data.normalize}; "
            f"proposed by {study.sampler}, stopped early by {study.pruner}, seed "
            f"{study.seed}.",
            _rows(rows) if space else "Nothing.",
            "Fixed: " + ", ".join(fixed) + ".",
        ]
    )


def _again(commit: Commit | None) -> str:
    note = (
        "### Again\n\n"
        f"`{EXPERIMENT}`, among the artifacts, is the whole experiment, each default "
        f"written out:\n\n    python -m sweep run {EXPERIMENT}"
    )
    if commit is not None:
        changes = ", and changes on top of it" if commit.dirty else ""
        note += f"\n\nThe code was that of commit `{commit.sha[:12]}`{changes}."
    return note


def _rows(rows: Sequence[Sequence[str]]) -> str:
    """A table; its first row is its head."""
    head, *rest = map(_row, rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *rest])


def _row(cells: Sequence[str]) -> str:
    # MLflow's table leaves no room between columns
    return "| " + "\u00a0\u00a0| ".join(_plain(cell) for cell in cells) + " |"


def _plain(text: str) -> str:
    return text.replace("|", "\\|")
