"""The nouns: points, samples, machines, boards, alarms, events and functions."""
