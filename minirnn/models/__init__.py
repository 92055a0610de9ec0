"""Models built from the modules."""

from minirnn.models.language_model import CELLS, LanguageModel, detached, state_arrays

__all__ = ["CELLS", "LanguageModel", "detached", "state_arrays"]
