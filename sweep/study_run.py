"""The study's own run in MLflow, under which its trials' runs are nested."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from mlflow.entities import Metric, RunTag
from mlflow.tracking import MlflowClient

from sweep.artifacts import Artifacts
from sweep.experiment import Experiment
from sweep.opening import Opening
from sweep.paths import BEST_CHECKPOINT, CHECKPOINT, ENVIRONMENT, EXPERIMENT
from sweep.provenance import Commit
from sweep.run_writers import RunId, RunWriter
from sweep.runs import (
    BEST_TRIAL,
    KIND,
    STUDY,
    STUDY_KEY,
    find_child,
    find_parent,
    id_of,
    open_children,
)
from sweep.trial import Event, State, StudySummary, TrialRecord

_DONE = (State.COMPLETE, State.PRUNED)


@dataclass(frozen=True)
class Progress:
    """The study so far.

    Attributes:
        done: Number of trials that are COMPLETE or PRUNED.
        best: The best trial that is COMPLETE; None if none is.
    """

    done: int
    best: TrialRecord | None


class StudyRun:
    """The parent run of one study.

    Attributes:
        run: Where it is.
        progress: The study as far as it is written here.
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
        self._experiment_id = experiment_id
        if opening.former is not None:
            self._close_former(opening.former)
        self.is_new = False
        self.run = self._open(experiment.name, opening.summary.study, opening.commit)
        self.progress = Progress(0, None)
        artifacts.put_text(self.run, EXPERIMENT, experiment.to_yaml())
        versions = json.dumps(dict(opening.environment), indent=2)
        artifacts.put_text(self.run, ENVIRONMENT, versions + "\n")

    def stand_before(self, summary: StudySummary, events: Iterable[Event]) -> None:
        """Go to where the study was before events that are still to be written.

        Args:
            summary: The study as it is now.
            events: What is to be written.
        """
        to_come = {e.number for e in events if e.record and e.record.state in _DONE}
        done = sum(summary.counts[state] for state in _DONE) - len(to_come)
        complete = (r for r in summary.ranking if r.state is State.COMPLETE)
        earlier = (record for record in complete if record.number not in to_come)
        self.progress = Progress(done, next(earlier, None))

    def write(self, events: Iterable[Event], writer: RunWriter) -> Progress:
        """Log the best value so far against the number of finished trials.

        Returns:
            What `progress` is to be once the writer has committed.
        """
        progress, metrics = self.progress, []
        for event in events:
            if event.record is None or event.record.state not in _DONE:
                continue
            progress = _advance(progress, event.record)
            if progress.best is not None and progress.best.value is not None:
                value, done = progress.best.value, progress.done
                metrics.append(Metric("best_val_accuracy", value, event.time_ms, done))
        if metrics:
            writer.log(self.run.run_id, metrics, (), {})
        return progress

    def close(self, status: str, utilisation: float | None) -> None:
        """End the run, with the best trial's checkpoint."""
        if utilisation is not None:
            self._client.log_metric(self.run.run_id, "utilisation", utilisation)
        self._publish_best()
        self._client.set_terminated(self.run.run_id, status)

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


def _advance(progress: Progress, record: TrialRecord) -> Progress:
    best = progress.best
    if record.state is State.COMPLETE and _is_better(record, best):
        best = record
    return Progress(progress.done + 1, best)


def _is_better(record: TrialRecord, best: TrialRecord | None) -> bool:
    if best is None or best.value is None or record.value is None:
        return True
    return (-record.value, record.number) < (-best.value, best.number)
