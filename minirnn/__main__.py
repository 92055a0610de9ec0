"""`python -m minirnn` is the command `minirnn`."""

from minirnn.cli import main

main()
