"""Imported once by the server that `processes.start` forks from."""

from processes import import_all

import_all()
