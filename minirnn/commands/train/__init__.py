"""Commands that train a language model and sample from it."""
