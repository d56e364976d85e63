"""Plans: what a subscription costs, phase by phase, in versions that never change."""
