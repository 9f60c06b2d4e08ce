"""Where thresholds come from: the setting, else a quantile of the seeds."""

import numpy as np

from gifcli.rules import Rules


def threshold(setting: float | None, rules: Rules, measure: str, quantile: float) -> float | None:
    """The setting if there is one, else that quantile (0 to 1) of the seeds' own `measure`; None where neither exists."""
    if setting is not None:
        return setting
    percentiles = rules.quantiles.get(measure)
    if percentiles is None:
        return None
    return float(np.interp(100 * quantile, np.arange(len(percentiles)), percentiles))
