"""Wire → samples: read plans, sources, and the poller that keeps the beat."""
