"""The study's own run in MLflow, under which its trials' runs are nested."""

import json
import time
from collections.abc import Iterable
from dataclasses import replace

from mlflow.entities import Metric, RunTag
from mlflow.tracking import MlflowClient

from sweep.artifacts import Artifacts
from sweep.experiment import Experiment
from sweep.notes import OURS, experiment_note, study_note
from sweep.opening import Opening
from sweep.paths import BEST_CHECKPOINT, CHECKPOINT, ENVIRONMENT, EXPERIMENT, PLOTS
from sweep.provenance import Commit
from sweep.run_writers import RunId, RunWriter
from sweep.runs import (
    BEST_TRIAL,
    KIND,
    NOTE,
    STUDY,
    STUDY_KEY,
    find_child,
    find_parent,
    id_of,
    open_children,
)
from sweep.saved_view import VIEW_TAG, trials_view
from sweep.trial import Event, State, StudySummary, TrialRecord

DONE = (State.COMPLETE, State.PRUNED)
_RANKED = 10  # trials that are kept in mind, for the description


class StudyRun:
    """The parent run of one study.

    Attributes:
        run: Where it is.
        progress: The study as far as it is written here, with its best trials alone.
        is_new: Whether it was created just now.
    """

    def __init__(
        self,
        client: MlflowClient,
        artifacts: Artifacts,
        experiment_id: str,
        experiment: Experiment,
        opening: Opening,
    ) -> None:
        """Open the run, or create it.

        Args:
            client: MLflow's.
            artifacts: Of the runs.
            experiment_id: MLflow's experiment.
            experiment: What is run.
            opening: The study.
        """
        self._client, self._artifacts = client, artifacts
        self._experiment_id, self._experiment = experiment_id, experiment
        self._commit = opening.commit
        self._trial_runs: dict[int, str] = {}
        if opening.former is not None:
            self._close_former(opening.former)
        self.is_new = False
        self.run = self._open(experiment.name, opening.summary.study, opening.commit)
        self.progress = nothing_yet(opening.summary.study)
        artifacts.put_text(self.run, EXPERIMENT, experiment.to_yaml())
        versions = json.dumps(dict(opening.environment), indent=2)
        artifacts.put_text(self.run, ENVIRONMENT, versions + "\n")
        self._describe_experiment()

    def stand_before(self, summary: StudySummary, events: Iterable[Event]) -> None:
        """Go to where the study was before events that are still to be written.

        Args:
            summary: The study as it is now.
            events: What is to be written.
        """
        to_come = {
            e.number: e.record.state
            for e in events
            if e.record is not None and e.record.state.is_finished
        }
        states = list(to_come.values())
        counts = {s: n - states.count(s) for s, n in summary.counts.items()}
        earlier = (r for r in summary.ranking if r.number not in to_come)
        self.progress = _cut(replace(summary, counts=counts, ranking=tuple(earlier)))
        self.describe()

    def write(self, events: Iterable[Event], writer: RunWriter) -> StudySummary:
        """Log the best value so far against the number of finished trials.

        Returns:
            What to hand to `advance` once the writer has committed.
        """
        progress, metrics = self.progress, []
        for event in events:
            if event.record is None or not event.record.state.is_finished:
                continue
            progress = _with(progress, event.record)
            best, done = progress.best, sum(progress.counts[s] for s in DONE)
            is_done = event.record.state in DONE
            if is_done and best is not None and best.value is not None:
                point = Metric("best_val_accuracy", best.value, event.time_ms, done)
                metrics.append(point)
        if metrics:
            writer.log(self.run.run_id, metrics, (), {})
        return progress

    def advance(self, progress: StudySummary) -> None:
        """Go to what `write` has returned, and describe it if there is a new best."""
        before, self.progress = self.progress, progress
        if progress.best != before.best:
            try:
                self.describe()
            except BaseException:
                self.progress = before  # all of it is written a second time
                raise

    def describe(self, *, plots: bool = False) -> None:
        """Bring the description to where the study is.

        Args:
            plots: Whether to show the plots that are among the artifacts.
        """
        for record in self.progress.ranking:
            if record.number not in self._trial_runs:
                of = self._client, self._experiment_id, self.run.run_id
                found = find_child(*of, record.number)
                if found is not None:
                    self._trial_runs[record.number] = str(found.info.run_id)
        names = self._artifacts.names(self.run, PLOTS) if plots else []
        note = study_note(
            self._experiment,
            self.progress,
            self._experiment_id,
            self._trial_runs,
            [(self.run.run_id, name) for name in names if name.endswith(".png")],
            self._commit,
        )
        self._client.set_tag(self.run.run_id, NOTE, note)

    def close(self, status: str, utilisation: float | None) -> None:
        """End the run, with the best trial's checkpoint and the plots shown."""
        if utilisation is not None:
            self._client.log_metric(self.run.run_id, "utilisation", utilisation)
        self._publish_best()
        self.describe(plots=True)
        self._client.set_terminated(self.run.run_id, status)

    def _describe_experiment(self) -> None:
        """Give MLflow's experiment a view of this study, and words if it has none."""
        now_ms, of = int(time.time() * 1000), self._experiment_id
        view = trials_view(self._experiment, self.run.run_id, now_ms)
        self._client.set_experiment_tag(of, VIEW_TAG, view)
        said = self._client.get_experiment(of).tags.get(NOTE, OURS)
        if said.startswith(OURS):
            note = experiment_note(self._experiment, of, self.run.run_id)
            self._client.set_experiment_tag(of, NOTE, note)

    def _open(self, name: str, study: str, commit: Commit | None) -> RunId:
        tags = {STUDY: name, STUDY_KEY: study, KIND: "study"}
        if commit is not None:
            tags |= {"mlflow.source.git.commit": commit.sha}
            tags |= {"sweep.git.dirty": str(commit.dirty).lower()}
        found = find_parent(self._client, self._experiment_id, study)
        self.is_new = found is None
        if found is None:
            experiment_id = self._experiment_id
            created = self._client.create_run(experiment_id, run_name=name, tags=tags)
            return id_of(created)
        self._client.update_run(found.info.run_id, status="RUNNING")
        new_tags = [RunTag(key, value) for key, value in tags.items()]
        self._client.log_batch(found.info.run_id, tags=new_tags)
        return id_of(found)

    def _close_former(self, study: str) -> None:
        """End what a study that was set aside has left open."""
        former = find_parent(self._client, self._experiment_id, study)
        if former is None:
            return
        run_id = former.info.run_id
        for run in open_children(self._client, self._experiment_id, run_id):
            self._client.set_terminated(run.info.run_id, "KILLED")
        if former.info.status == "RUNNING":
            self._client.set_terminated(run_id, "KILLED")

    def _publish_best(self) -> None:
        best, run_id = self.progress.best, self.run.run_id
        if best is None:
            return
        published = self._client.get_run(run_id).data.tags.get(BEST_TRIAL)
        of = self._client, self._experiment_id, run_id
        found = find_child(*of, best.number)
        if found is None or published == str(best.number):
            return
        if self._artifacts.has(id_of(found), CHECKPOINT):  # or somebody deleted it
            self._artifacts.copy(id_of(found), CHECKPOINT, self.run, BEST_CHECKPOINT)
        self._client.set_tag(run_id, BEST_TRIAL, str(best.number))


def nothing_yet(study: str) -> StudySummary:
    """A study without a finished trial."""
    return StudySummary(dict.fromkeys(State, 0), (), study)


def _with(progress: StudySummary, record: TrialRecord) -> StudySummary:
    """The study with one more trial that has ended."""
    counts = {**progress.counts, record.state: progress.counts[record.state] + 1}
    ranking = list(progress.ranking)
    if record.state in DONE and record.value is not None:
        ranking.append(record)
        ranking.sort(key=lambda record: (-(record.value or 0.0), record.number))
    return _cut(replace(progress, counts=counts, ranking=tuple(ranking)))


def _cut(summary: StudySummary) -> StudySummary:
    """The same with no more of its ranking than the first, and the best trial."""
    first, best = summary.ranking[:_RANKED], summary.best
    if best is not None and best not in first:
        first = (*first, best)
    return replace(summary, ranking=first)
