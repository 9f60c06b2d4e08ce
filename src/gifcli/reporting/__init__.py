"""What a run's manifest and shards say, gathered for the card and for the report's page."""
