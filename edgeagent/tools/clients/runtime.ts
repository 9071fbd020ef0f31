// A typed client of the edge agent, without dependencies: fetch for calls, WebSocket for events.
// It runs in browsers and in Node 22 or later; older ones need a WebSocket handed in.

/** The agent refused a call: `reason` is for people, `retry` says whether the same call may go well later. */
export class AgentError extends Error {
  constructor(
    readonly code: number,
    readonly kind: RefusalKind,
    readonly reason: string,
    readonly machine: string | null,
    readonly retry: boolean,
  ) {
    super(`${kind}: ${reason}`);
    this.name = "AgentError";
  }
}

/** The part of a WebSocket that is used here. */
export interface Socket {
  send(text: string): void;
  close(): void;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
}

export interface Options {
  /** `http://127.0.0.1:8480/rpc` by default. */
  url?: string;
  /** Makes a WebSocket; the platform's own by default. */
  socket?: (url: string) => Socket;
  /** How long a call may take, in milliseconds; 30 000 by default. */
  timeoutMs?: number;
}

interface Answer {
  result?: unknown;
  error?: { code: number; message: string; data?: Partial<Refusal> };
}

interface Refusal {
  kind: RefusalKind;
  reason: string;
  machine: string | null;
  retry: boolean;
}

/** Silence after which a connection is dead, in milliseconds: the agent sends a heartbeat every 10 s. */
const SILENCE_MS = 30_000;

/** Messages that wait for a slow reader; then the connection is ended, and made again where the reader is. */
const MOST_WAITING = 1000;

export class Wire {
  private readonly url: string;
  private readonly timeoutMs: number;
  private readonly socket: (url: string) => Socket;

  constructor(options: Options = {}) {
    this.url = options.url ?? "http://127.0.0.1:8480/rpc";
    this.timeoutMs = options.timeoutMs ?? 30_000;
    this.socket = options.socket ?? ((url) => new WebSocket(url) as unknown as Socket);
  }

  protected async call<T>(method: string, params: object): Promise<T> {
    const waitMs = "waitMs" in params && typeof params.waitMs === "number" ? params.waitMs : 0;
    const answer = await fetch(this.url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: request(method, params),
      signal: AbortSignal.timeout(this.timeoutMs + waitMs),
    });
    return result<T>((await answer.json()) as Answer);
  }

  /**
   * Follows events for ever. A lost connection is made again after `retryMs` and goes on where it broke,
   * or with a consumer at its cursor; with null it throws.
   */
  async *events(wanted: Subscribe, retryMs: number | null = 1000): AsyncGenerator<AgentEvent, void, undefined> {
    let from = wanted.from;
    for (;;) {
      const inbox = new Inbox(this.socket(this.url.replace(/^http/, "ws")), request("Event.Subscribe", { ...wanted, from }));
      try {
        for (let text = await inbox.next(); text !== null; text = await inbox.next()) {
          const message = JSON.parse(text) as AgentEvent | Answer;
          if ("method" in message) {
            yield message;
            const last = reached(message);
            if (last !== null && !wanted.consumer) from = { stream: message.params.stream, sequence: last + 1 };
          } else {
            const begun = result<Subscribed>(message);
            from = wanted.consumer ? "cursor" : { stream: begun.stream, sequence: begun.nextSequence };
          }
        }
      } finally {
        inbox.close();
      }
      if (retryMs === null) throw new Error("the agent closed the connection");
      await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
  }
}

/** What came over one connection and was not taken yet. */
class Inbox {
  private readonly waiting: string[] = [];
  private wake: (() => void) | null = null;
  private ended = false;
  private silence: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly socket: Socket,
    first: string,
  ) {
    socket.onopen = () => socket.send(first);
    socket.onmessage = (event) => this.take(String(event.data));
    socket.onclose = socket.onerror = () => this.end();
    this.listen();
  }

  /** The next message; null when the connection is gone. */
  async next(): Promise<string | null> {
    while (this.waiting.length === 0 && !this.ended) {
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
    return this.waiting.shift() ?? null;
  }

  close(): void {
    this.end();
    this.socket.close();
  }

  private take(text: string): void {
    if (this.ended) return;
    this.listen();
    this.waiting.push(text);
    if (this.waiting.length >= MOST_WAITING) this.close();
    this.wake?.();
  }

  private listen(): void {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.close(), SILENCE_MS);
  }

  private end(): void {
    clearTimeout(this.silence);
    this.ended = true;
    this.wake?.();
  }
}

function request(method: string, params: object): string {
  return JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
}

function result<T>(answer: Answer): T {
  if (answer.error === undefined) return answer.result as T;
  const { code, message, data } = answer.error;
  throw new AgentError(code, data?.kind ?? "internal", data?.reason ?? message, data?.machine ?? null, data?.retry ?? false);
}

/** The last sequence that an event, a heartbeat or a gap leaves behind. */
function reached(event: AgentEvent): number | null {
  if (event.method === "Event.Heartbeat") return event.params.data.lastSequence;
  if (event.method === "Event.Gap") return Math.max(...event.params.data.ranges.map((range) => range.to));
  return "sequence" in event.params ? event.params.sequence : null;
}
