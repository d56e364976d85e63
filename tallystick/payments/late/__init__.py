"""Late captures: money that a provider took for a payment that had failed."""
