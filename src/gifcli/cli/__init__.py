"""The command line: flags -> overrides -> one call; errors -> exit codes. Never imports torch at module level."""

# isort: off
from gifcli.cli import stages, inspection, models  # in the order in which `gif --help` lists their commands

# isort: on
from gifcli.cli.app import app
from gifcli.cli.entry import main

__all__ = ["app", "inspection", "main", "models", "stages"]
