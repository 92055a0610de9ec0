"""Models built from the modules."""

from minirnn.models.language_model import CELLS, LanguageModel, from_arrays, step_states, to_arrays

__all__ = ["CELLS", "LanguageModel", "from_arrays", "step_states", "to_arrays"]
