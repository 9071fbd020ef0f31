"""Asks, is refused, follows six events over a line that breaks, and acknowledges as a consumer; see test_client."""

import sys

from agent import AgentError, Client, StatusMachineStatusChangedEvent

client = Client(http_port=int(sys.argv[1]), tcp_port=int(sys.argv[2]))
status = client.status_get()
print(status.machines[0].state, status.machines[0].recipe.name)
try:
    client.board_get("nobody")
except AgentError as error:
    print(error.kind, error.code, error.retry)
first = client.event_read("beginning", limit=1).events[0]
print(first.method, isinstance(first, StatusMachineStatusChangedEvent))
print(client.board_get_trace("b1", max_points=2).zones["zone/1/top"])
for event in client.events(["*"], from_="beginning", retry_s=0.05):
    if isinstance(event, StatusMachineStatusChangedEvent):
        print(event.sequence, event.data.to, flush=True)
        if event.sequence == 7:
            break
for event in client.events(["Status.*"], consumer="mes", retry_s=0.05):
    if isinstance(event, StatusMachineStatusChangedEvent):
        if event.sequence == 1:
            client.event_acknowledge("mes", event.stream, event.sequence)
        print("mes", event.sequence, flush=True)
print("ended", flush=True)
