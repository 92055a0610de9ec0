"""Models built from the modules."""

from minirnn.models.language_model import CELLS, LanguageModel, from_arrays, to_arrays

__all__ = ["CELLS", "LanguageModel", "from_arrays", "to_arrays"]
