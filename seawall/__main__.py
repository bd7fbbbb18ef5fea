"""`python -m seawall` is the console script `seawall`."""

from seawall.cli import main

main()
