import { API_VERSION, FRAME_WINDOW, type ApiError, type Event, type Reply, type Request, type RowsFrame, type Welcome } from '../generated/api';
import { en } from '../text/en';
import type { Adapter, LinkState } from './adapter';
import { encode, type Incoming } from './codec';

export class RequestError extends Error {
  constructor(readonly error: ApiError) {
    super(error.message);
  }
}

export interface ClientEvents {
  welcome: (welcome: Welcome) => void;
  event: (event: Event) => void;
  chart: (node: string, bytes: Uint8Array) => void;
  rows: (rows: RowsFrame) => void;
  link: (state: LinkState) => void;
  unreadable: (why: string) => void;
}

type ReplyOf<Name extends Reply['reply']> = Extract<Reply, { reply: Name }>;

/** Frames are acknowledged in bundles, well before the window is full. */
const ACK_EVERY = FRAME_WINDOW / 4;

/** Pairs requests with replies, greets on every new link, and acknowledges frames. */
export class Client {
  readonly api = API_VERSION;
  private next = 1;
  private readonly waiting = new Map<number, { resolve: (reply: Reply) => void; reject: (error: RequestError) => void }>();
  private frames = 0;

  constructor(
    readonly adapter: Adapter,
    private readonly events: ClientEvents,
  ) {}

  start(): () => void {
    return this.adapter.connect({
      incoming: (incoming) => this.take(incoming),
      link: (state) => this.linkChanged(state),
      unreadable: (why) => this.events.unreadable(why),
    });
  }

  /** Asks, and gives the reply; rejects with {@link RequestError}. */
  ask(request: Request): Promise<Reply> {
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      if (!this.adapter.send(encode({ id, request }))) {
        this.waiting.delete(id);
        reject(new RequestError({ code: 'no_link', message: en.link.noLink }));
      }
    });
  }

  /** Asks for a reply of one name. */
  async askFor<Name extends Reply['reply']>(name: Name, request: Request): Promise<ReplyOf<Name>> {
    const reply = await this.ask(request);
    if (reply.reply !== name) throw new RequestError({ code: 'bad_reply', message: en.link.badReply });
    return reply as ReplyOf<Name>;
  }

  /** Sends without wanting an answer. */
  tell(request: Request): void {
    this.adapter.send(encode({ id: 0, request }));
  }

  private linkChanged(state: LinkState): void {
    this.events.link(state);
    if (state.is === 'open') {
      this.frames = 0;
      this.askFor('welcome', { ask: 'hello', api: API_VERSION }).then(
        (reply) => this.events.welcome(reply.value),
        (error: unknown) => this.events.unreadable(error instanceof Error ? error.message : en.link.badReply),
      );
    }
    if (state.is === 'lost') {
      for (const { reject } of this.waiting.values()) reject(new RequestError({ code: 'no_link', message: en.link.noLink }));
      this.waiting.clear();
    }
  }

  private take(incoming: Incoming): void {
    if (incoming.is === 'message') {
      const message = incoming.message;
      if (message.message === 'event') this.events.event(message.event);
      else this.settle(message.id, message.outcome);
      return;
    }
    if (incoming.is === 'chart') this.events.chart(incoming.node, incoming.bytes);
    else this.events.rows(incoming.rows);
    this.frames += 1;
    if (this.frames >= ACK_EVERY) {
      this.tell({ ask: 'ack', frames: this.frames });
      this.frames = 0;
    }
  }

  private settle(id: number, outcome: { ok: Reply } | { error: ApiError }): void {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    if ('ok' in outcome) waiting?.resolve(outcome.ok);
    else waiting?.reject(new RequestError(outcome.error));
  }
}
