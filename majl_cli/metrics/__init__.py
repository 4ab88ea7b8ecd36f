"""Metrics of separation, melody and notes, by the field's names."""
