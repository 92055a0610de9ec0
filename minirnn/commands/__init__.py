"""The subcommands of `minirnn`, one module each, in the groups of the help. `minirnn.cli` declares their options."""
