"""Separation modules, one file per architecture."""
