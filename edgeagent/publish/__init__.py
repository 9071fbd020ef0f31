"""Events and answers go out: one access to all functions, one delivery of all events, transports, and outlets."""
