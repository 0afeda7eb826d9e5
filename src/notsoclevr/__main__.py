"""`python -m notsoclevr`."""

from notsoclevr.cli import main

main()
