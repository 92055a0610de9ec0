"""What the subcommands of `minirnn` do, a module for each; `minirnn.cli` declares them and reads their options."""
