"""A student's code in its own process, and the observations of a run."""
