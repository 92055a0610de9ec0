"""The engine: Tensors, the graph behind them, and the derivative of each operation."""
