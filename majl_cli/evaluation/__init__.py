"""Scores of models, other tools' estimates, baselines and oracles on tracks."""
