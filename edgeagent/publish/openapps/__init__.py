"""The OpenApps profile: what its functions answer, and the document that describes them."""

from edgeagent.publish.openapps.answers import answers

__all__ = ["answers"]
