"""Push: the agent posts events to an MES, in order, each again until the MES took it or it is set aside."""
