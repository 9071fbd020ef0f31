"""`python -m edgeagent` is `edgeagent`."""

from edgeagent.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
