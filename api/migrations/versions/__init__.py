"""One file a step, from the first to the newest."""
