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
  /**
   * `http://127.0.0.1:8480/rpc` by default. With `https:` TLS is spoken; the CA of the agent's certificate is one that the
   * platform trusts, in Node also the file that the variable NODE_EXTRA_CA_CERTS names.
   */
  url?: string;
  /** Says who asks. */
  token?: string;
  /** Makes a WebSocket; the platform's own by default. */
  socket?: (url: string) => Socket;
  /** How long a call may take, in milliseconds; 30 000 by default. */
  timeoutMs?: number;
}

interface Answer {
  id?: unknown;
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

/** Id of the request that says who asks. */
const AUTHENTICATED = 0;

/** Messages that wait for a slow reader; then the connection is ended, and made again where the reader is. */
const MOST_WAITING = 1000;

export class Wire {
  private readonly url: string;
  private readonly timeoutMs: number;
  private readonly token: string | undefined;
  private readonly socket: (url: string) => Socket;

  constructor(options: Options = {}) {
    this.url = options.url ?? "http://127.0.0.1:8480/rpc";
    this.timeoutMs = options.timeoutMs ?? 30_000;
    this.token = options.token;
    this.socket = options.socket ?? ((url) => new WebSocket(url) as unknown as Socket);
  }

  protected async call<T>(method: string, params: object): Promise<T> {
    const waitMs = "waitMs" in params && typeof params.waitMs === "number" ? params.waitMs : 0;
    const answer = await fetch(this.url, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...(this.token && { Authorization: `Bearer ${this.token}` }) },
      body: request(method, params),
      signal: AbortSignal.timeout(this.timeoutMs + waitMs),
    });
    return result<T>((await answer.json()) as Answer);
  }

  /**
   * Follows events for ever, or until another connection takes the consumer or it is deleted. A lost connection is
   * made again after `retryMs` and goes on where it broke, with a consumer after what is acknowledged
   * (`eventAcknowledge`); with null it throws.
   */
  async *events(wanted: Subscribe, retryMs: number | null = 1000): AsyncGenerator<AgentEvent, void, undefined> {
    const hasCursor = wanted.consumer !== undefined && wanted.consumer !== null;
    let from = wanted.from;
    for (;;) {
      const first = [request("Event.Subscribe", { ...wanted, from })];
      if (this.token) first.unshift(request("Session.Authenticate", { token: this.token }, AUTHENTICATED));
      const inbox = new Inbox(this.socket(this.url.replace(/^http/, "ws")), first);
      try {
        for (let text = await inbox.next(); text !== null; text = await inbox.next()) {
          const message = JSON.parse(text) as AgentEvent | Answer;
          if ("method" in message) {
            yield message;
            if (message.method === "Event.SubscriptionEnded") return;
            const last = hasCursor ? null : reached(message);
            if (last !== null) from = { stream: message.params.stream, sequence: last + 1 };
          } else if (message.id === AUTHENTICATED) {
            result(message);
          } else {
            const begun = result<Subscribed>(message);
            from = hasCursor ? "cursor" : { stream: begun.stream, sequence: begun.nextSequence };
          }
        }
      } catch (error) {
        if (retryMs === null || !(error instanceof AgentError && error.retry)) throw error;
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
    first: string[],
  ) {
    socket.onopen = () => first.forEach((text) => socket.send(text));
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

function request(method: string, params: object, id = 1): string {
  return JSON.stringify({ jsonrpc: "2.0", id, method, params });
}

function result<T>(answer: Answer): T {
  if (answer.error === undefined) return answer.result as T;
  const { code, message, data } = answer.error;
  throw new AgentError(code, data?.kind ?? "internal", data?.reason ?? message, data?.machine ?? null, data?.retry ?? false);
}

/** The last sequence that an event, a heartbeat or a gap leaves behind. */
function reached(event: AgentEvent): number | null {
  if (event.method === "Event.Heartbeat") return event.params.data.lastSequence;
  if (event.method === "Event.Gap") return event.params.data.ranges.at(-1)?.to ?? null;
  return "sequence" in event.params ? event.params.sequence : null;
}
