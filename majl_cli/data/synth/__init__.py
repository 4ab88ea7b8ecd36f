"""Training material made from a seed: accompaniments from MIDI files, and singing whose f0 is known exactly.

Each piece is a pure function of (seed, index): pieces can be made in any order, by any number of processes.
"""
