"""What runs apart from the agent, in a process of its own: starts it, feeds it, answers it, and does without it."""
