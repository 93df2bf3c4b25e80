"""`python -m stackmatrix` is `stackmatrix`."""

from stackmatrix.cli.commands import main

main()
