"""The run folder: its lock, plan, shards and done marks, and what they say is still owed."""
