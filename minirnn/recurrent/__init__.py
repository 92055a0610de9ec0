"""Recurrent layers as functions: the cells' steps, sequences of them, weight layouts, and what goes on inside."""
