"""A student's code in a process of its own, and what can be seen of a run of it."""
