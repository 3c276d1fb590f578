"""`python -m gateway.cli`, the same as `tillway`."""

from gateway.cli.app import main

main()
