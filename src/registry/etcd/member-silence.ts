import type { CallTime } from './call-time.ts';

export type MemberSilenceOptions = {
  readonly time: CallTime;
  /** Asks the member for its progress, or for one more watch. */
  readonly ask: (question: 'progress' | 'watch') => void;
  /** The member sent something, and then nothing for a while, which may be normal. */
  readonly onQuiet: () => void;
  /** The member did not do in time what it had to. */
  readonly onLate: (reason: string) => void;
  /** One response took too long to arrive. */
  readonly onSlow: (reason: string) => void;
};

// In ms. A stopped member still accepts connections, and its stream is silent: noticed after silence + answer at most.
const createdMs = 3000;
const silenceMs = 1200;
const answerMs = 1000;
/** The most by which a slow link lengthens these. */
const mostStretch = 2;
/** For one response that arrives in pieces, in ms: 50,000 deletions are 4 MB and one response. */
const responseMs = 30_000;
/** For a replay, in ms: etcd begins with it within 100 ms. */
const replayMs = 5000;

const stretchOf = ({ stretch }: CallTime): number => Math.min(mostStretch, stretch);

/** How long a member may take to open a stream for a watch, in ms. */
export const openWithinMs = (time: CallTime): number => createdMs * stretchOf(time);

/**
 * The deadlines of a watch stream. After some silence it asks the member for its progress. etcd's gRPC proxy never answers
 * that and logs an error each time. So a member that does not answer is asked for one more watch, which the stream cancels.
 */
export class MemberSilence {
  readonly #options: MemberSilenceOptions;
  readonly #stretch: number;
  #timer: NodeJS.Timeout | undefined;
  #replayTimer: NodeJS.Timeout | undefined;
  #questions: 'both' | 'progress' | 'watch' = 'both';
  #answersWatch = false;
  /** When the member got a question that it has not answered. */
  #askedAt: number | undefined;
  /** When the first piece of an incomplete response arrived. */
  #arriving: number | undefined;

  constructor(options: MemberSilenceOptions) {
    this.#options = options;
    this.#stretch = stretchOf(options.time);
  }

  /** The stream asks for its watch now. */
  begin(): void {
    const ms = createdMs * this.#stretch;
    this.#deadline(ms, `the member did not start the watch within ${ms} ms`);
    this.#askedAt = performance.now();
  }

  /** A piece of a response arrived. `created`: the watch has begun. */
  pieceArrived(created: boolean): void {
    const now = performance.now();
    this.#arriving ??= now;
    if (now - this.#arriving > responseMs) {
      this.#options.onSlow(`a response took longer than ${responseMs} ms to arrive`);
    } else if (created) {
      this.#listen();
      if (this.#replayTimer !== undefined) this.awaitReplay();
    }
  }

  /** A response is complete. */
  responseArrived(): void {
    this.#arriving = undefined;
    if (this.#askedAt !== undefined) this.#options.time.answered(performance.now() - this.#askedAt);
    this.#askedAt = undefined;
    this.#listen();
  }

  /** The member answers one of the questions, so the other one is not necessary. */
  answered(question: 'progress' | 'watch'): void {
    if (question === 'progress') this.#questions = 'progress';
    else this.#answersWatch = true;
  }

  /** The member has to send the delivered changes again, from now on in time. */
  awaitReplay(): void {
    clearTimeout(this.#replayTimer);
    const reason = `the member did not send the last changes again within ${replayMs} ms`;
    this.#replayTimer = setTimeout(() => this.#options.onLate(reason), replayMs);
  }

  replayed(): void {
    clearTimeout(this.#replayTimer);
    this.#replayTimer = undefined;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.replayed();
  }

  #listen(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const { ask, onQuiet } = this.#options;
      onQuiet();
      if (this.#answersWatch && this.#questions === 'both') this.#questions = 'watch';
      if (this.#questions !== 'watch') ask('progress');
      if (this.#questions !== 'progress') ask('watch');
      this.#askedAt = performance.now();
      const ms = answerMs * this.#stretch;
      this.#deadline(ms, `the member was silent for ${silenceMs + ms} ms`);
    }, silenceMs);
  }

  #deadline(ms: number, reason: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#options.onLate(reason), ms);
  }
}
