"""MLflow's own UI, opened at an experiment."""
