"""`edgeagent prove`: scenarios that try to lose an event, each judged by logs that the agent has no hand in."""
