"""What the reference page tells in words, before it lists everything."""

HOW_TO_SPEAK = """\
An edge agent watches soldering machines and tells an MES about them: a record of every board, alarms, states,
measured values. This page is all that an MES needs to know of it. The names are a profile of this project's own; it
is not the wire format of any maker's product.

## How to speak with it

Everything is JSON-RPC 2.0 in UTF-8. All transports offer the same functions; only to subscribe, events must be able to
come back. As it comes the agent listens on its own computer only, and everybody there is a viewer.

| Transport | Address by default | One message is | Events |
|---|---|---|---|
| HTTP | `POST http://127.0.0.1:8480/rpc` | a body, `application/json` | asked for by [Event.Read](#eventread) |
| WebSocket | `ws://127.0.0.1:8480/rpc` | a text frame | pushed after [Event.Subscribe](#eventsubscribe) |
| TCP | `127.0.0.1:8481` | a line, ended by `\\n` | pushed after [Event.Subscribe](#eventsubscribe) |
| Push | `[[openapps.push]]` of the configuration | a body, `application/json` | posted in batches; 2xx acknowledges |

```sh
curl -s http://127.0.0.1:8480/rpc -H 'Content-Type: application/json' \\
     -d '{"jsonrpc": "2.0", "id": 1, "method": "Status.Get"}'
```

Beyond its own computer the agent speaks TLS (`https`, `wss`, TLS beneath the lines), and there everybody says who it
is: with a token in the header `Authorization: Bearer TOKEN` of a request or of the WebSocket's handshake, by
[Session.Authenticate](#sessionauthenticate) on a TCP line or a WebSocket, or with a client certificate. A token that is
not taken is answered with 401 and the error `unauthenticated`. A user whose rights end is told
[Event.SubscriptionEnded](#eventsubscriptionended), and its next call is refused.

- Parameters go by name. A name that is not listed here is refused, so that a slip is seen.
- Members of answers and events may be added in later versions, and words to lists of words: ignore what you do not
  know.
- Times are RFC 3339 in UTC with milliseconds, `2026-11-21T21:53:00.123Z`. Lengths are in mm, temperatures in °C.
- What is not known is `null`, never a guess; a value has a `quality`, and a stale one keeps the time at which it
  was read.
- HTTP answers 200 to a refused call as well, and 204 to notifications. Any other code means that there was no call:
  400, 401 (no token that is known), 403 (a foreign host or page), 408, 413 (too large), 415 (not `application/json`),
  426 (a GET that opens no WebSocket), 429 (too many wrong tokens; `Retry-After` says how long), 503 (too many
  connections or answers).
- A message holds at most 1 MiB, the parameters of a call 64 KiB, a batch 100 calls.
- A WebSocket that asks for the subprotocol `msgpack` speaks MessagePack, a message in each binary frame: the same
  members with the same names. What it sends holds at most 64 KiB, and a list or map in it 4096 entries.

`edgeagent client python`, `typescript` or `csharp` writes a typed client in one file without dependencies;
`edgeagent client openrpc` writes the machine-readable form of this page, which [rpc.discover](#rpcdiscover) answers
too.
"""

HOW_TO_SUBSCRIBE = """\
## How to miss nothing

Events that are kept have a `sequence`: 1, 2, 3, over all machines of the agent, without a gap, also over restarts.
It counts within a `stream`; if the agent's records are ever lost in part, a new stream begins, and no number is
used twice. An event is sent only after it is on disk.

1. Take [Event.Snapshot](#eventsnapshot): the whole state, and the `sequence` it stands at.
2. Subscribe, or read, `from` `{"stream": ..., "sequence": <that> + 1}`.
3. Keep `stream` and `sequence` of the last event that is done. After a lost connection go on at the next number.
4. `previous` is the sequence of the event before under the same topics: if it is not the one you had, something is
   missing. Events that cannot be delivered any more are told as [Event.Gap](#eventgap).
5. A place in a stream that ended is refused as `notFound`, with the name of the new one in `error.data.stream`: take a
   new snapshot, and go on from `"beginning"`. Events that you had may come again under the new name; a board's `id` and
   an alarm's stay.

A subscription on which nothing happens says [Event.Heartbeat](#eventheartbeat) every 10 s; if there is none for 30
s, the connection is dead. An event may come twice after a lost connection: `stream` and `sequence` together name it
for ever.

A slow reader costs others nothing. Of values that change it gets the newest only. A connection that takes nothing for
a minute is ended, and what it missed comes when it goes on at its place. If it reads on within 10 s more, it finds the
reason at the end: over TCP the last line is an error of kind `tooMany` with the id null, a WebSocket is closed with the
code 1013 and the reason. Later the connection breaks off, in the middle of a message perhaps: throw that one away.

### Let the agent keep the place

Instead of step 3, name a `consumer` in [Event.Subscribe](#eventsubscribe): any name of your own, that the agent keeps
on disk with the place up to which it is done.

1. Subscribe with `"consumer": "line-3-mes"` and no `from`. A new consumer begins with the oldest event that is kept,
   any other one after the last that it acknowledged, also after a restart of either side.
2. Say [Event.Acknowledge](#eventacknowledge) with `stream` and `sequence` of an event once it is done, over any
   transport; all before it count as done too. One for many events is enough, but while `maxInFlight` of them are not
   acknowledged no more are told.
3. After a lost connection subscribe as before. What was told and not acknowledged is told again.

One connection at a time has a consumer: a later one takes it over, and the earlier one is told
[Event.SubscriptionEnded](#eventsubscriptionended). [Event.Consumers](#eventconsumers) lists them with what each has not
acknowledged yet; delete the one that nobody needs with [Event.DeleteConsumer](#eventdeleteconsumer).

## Is it well

Programs on the agent's own computer may GET `/healthz` (it lives) and `/readyz` (it can do its work) at the port of
HTTP: 200 is yes, 503 is no, and the body says why. Viewers may GET `/metrics` (for Prometheus) there.
"""

EXAMPLES = """\
What is shown is what an agent said at a simulated oven; only lists, and objects of lists, are cut to two entries.
"""
