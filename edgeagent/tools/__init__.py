"""Tools for the field: try a configuration on the real wires, look for units, and bring a problem home."""
