"""The functions that a course asks for, the model answers, and the known mistakes."""
