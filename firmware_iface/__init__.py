"""What the oven speaks: register maps, serial frames, the oven's physics and memory. Standard library only."""
