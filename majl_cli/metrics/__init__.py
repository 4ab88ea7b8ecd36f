"""Metrics of separation and melody, by the field's names."""
