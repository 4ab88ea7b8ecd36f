"""Pitch modules, one file per architecture, and the decoding of salience to f0."""
