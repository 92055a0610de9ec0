"""Commands for learners: the demo, experiments, the gallery of mistakes, assignments."""
