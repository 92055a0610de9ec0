"""Commands that check gradients."""
