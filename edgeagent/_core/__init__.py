"""The compiled core, built from ext/: decode, ring, capture, profile."""
