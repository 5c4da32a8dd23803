"""Experiment sweeps: Optuna proposes, Ray trains, MLflow records."""
