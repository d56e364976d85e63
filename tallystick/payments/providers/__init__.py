"""Payment providers: one protocol, and one package for each provider that speaks it."""
