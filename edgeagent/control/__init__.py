"""The room of commands: who may command what now, and how a command reaches the machine's registers."""
