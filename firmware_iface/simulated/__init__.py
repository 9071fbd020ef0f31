"""The contract from the other end: an oven that heats, carries boards, fails on demand, and its register memory."""
