"""What the agent tells of itself: health, metrics, and all that support needs."""
