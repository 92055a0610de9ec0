"""Commands that measure speed and describe the machine."""
