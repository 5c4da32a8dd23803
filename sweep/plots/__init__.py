"""Plots of a study: interactive ones for pages and notebooks, pictures for MLflow."""
