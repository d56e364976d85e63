"""Why: where one usage event is, and what came of it."""
