"""Models by name: embedded, in folders, on the Hugging Face Hub and elsewhere, fetched when told to and verified."""

from majl_cli.hub.find import DEFAULT_MODEL, embedded_models, find_checkpoint, find_parts, model_stems

__all__ = ["DEFAULT_MODEL", "embedded_models", "find_checkpoint", "find_parts", "model_stems"]
