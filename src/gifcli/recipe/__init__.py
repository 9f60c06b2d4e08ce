"""What a run is asked to do: YAML and flags as validated, frozen settings, and which stage each belongs to."""
