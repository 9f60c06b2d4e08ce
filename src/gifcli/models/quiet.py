"""Loading without the libraries' own bars and notices: what the user is to know, gifcli says."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet() -> Iterator[None]:
    """No bars, notices or deprecation warnings of diffusers and transformers while a model is loaded."""
    import diffusers
    import transformers

    of_diffusers: Any = diffusers.utils.logging
    of_transformers: Any = transformers.utils.logging
    levels = of_diffusers.get_verbosity(), of_transformers.get_verbosity()
    of_transformers.disable_progress_bar()
    of_diffusers.disable_progress_bar()
    of_diffusers.set_verbosity_error()
    of_transformers.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        of_diffusers.set_verbosity(levels[0])
        of_transformers.set_verbosity(levels[1])
