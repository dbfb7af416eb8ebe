"""`python -m deltaglider_proxy` is the console script."""

from deltaglider_proxy.cli.main import main

main()
