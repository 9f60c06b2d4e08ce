"""From what the checks measured to verdicts over the whole run."""
