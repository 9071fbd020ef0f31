"""The standard address space, light: its nodes are made on access and let go again."""
