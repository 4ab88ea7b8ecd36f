"""Corpora, manifests, and the segments a model is trained on."""
