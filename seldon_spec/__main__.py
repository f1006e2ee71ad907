"""``python -m seldon_spec``: the same command."""

from seldon_spec.cli.main import main

main()
