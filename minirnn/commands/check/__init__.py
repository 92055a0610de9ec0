"""Commands that check gradients, and tests of gradients."""
