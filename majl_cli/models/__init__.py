"""Separation modules, pitch modules, and the joint model made of any pair of them."""
