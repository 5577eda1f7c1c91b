import { MinimalReporter } from 'vitest/node';

const everyMs = 30_000;

/** @param {number} ms */
const minutes = (ms) => `${Math.floor(ms / 60_000)}:${String(Math.floor(ms / 1000) % 60).padStart(2, '0')}`;

/** @param {number} count @param {string} what */
const number = (count, what) => `${count} ${what}${count === 1 ? '' : 's'}`;

/**
 * Says in plain text how far the tests are: a line when a part (a project of Vitest) is done and every 30 s, which a terminal
 * sees in one line that changes each second. Of the tests themselves it prints those that fail, at once and with their errors at the end.
 */
export class Progress extends MinimalReporter {
  /** @type {Map<string, { total: number, done: number, tests: number, failed: number }>} */
  #parts = new Map();
  /** @type {Set<string>} */
  #running = new Set();
  #began = performance.now();
  /** @type {NodeJS.Timeout | undefined} */
  #timer;

  /** @override @param {readonly import('vitest/node').TestSpecification[]} specifications */
  onTestRunStart(specifications) {
    super.onTestRunStart(specifications);
    for (const { project } of specifications) {
      const part = this.#parts.get(project.name) ?? { total: 0, done: 0, tests: 0, failed: 0 };
      this.#parts.set(project.name, { ...part, total: part.total + 1 });
    }
    const parts = [...this.#parts].map(([name, { total }]) => `${name} (${number(total, 'file')})`);
    this.log(`${number(parts.length, 'part')}: ${parts.join(', ')}`);
    this.#timer = setInterval(() => this.#tell(), this.isTTY ? 1000 : everyMs);
    this.#timer.unref();
  }

  /** @param {import('vitest/node').TestModule} module */
  onTestModuleStart(module) {
    this.#running.add(module.relativeModuleId);
  }

  /** @override @param {import('vitest/node').TestModule} module */
  onTestModuleEnd(module) {
    this.#clear();
    super.onTestModuleEnd(module);
    this.#running.delete(module.relativeModuleId);
    const { name } = module.project;
    const part = this.#parts.get(name);
    if (part === undefined) return;
    const states = [...module.children.allTests()].map((test) => test.result().state);
    part.done += 1;
    part.tests += states.filter((state) => state === 'passed').length;
    part.failed += Math.max(states.filter((state) => state === 'failed').length, module.state() === 'failed' ? 1 : 0);
    if (part.done < part.total) return;
    this.log(
      `${this.#time()} ${name} is done: ${number(part.total, 'file')}, ${part.tests} passed, ${part.failed} failed`,
    );
  }

  /**
   * @override
   * @param {readonly import('vitest/node').TestModule[]} modules
   * @param {readonly import('vitest/node').SerializedError[]} errors
   * @param {import('vitest/node').TestRunEndReason} reason
   */
  onTestRunEnd(modules, errors, reason) {
    clearInterval(this.#timer);
    this.#clear();
    super.onTestRunEnd(modules, errors, reason);
  }

  #tell() {
    const parts = [...this.#parts.values()];
    /** @param {'total' | 'done' | 'tests' | 'failed'} field */
    const sum = (field) => parts.reduce((total, part) => total + part[field], 0);
    const done = parts.filter((part) => part.done === part.total).length;
    const line = [
      `${this.#time()} ${done} of ${number(parts.length, 'part')}`,
      `${sum('done')} of ${number(sum('total'), 'file')}`,
      `${sum('tests')} passed, ${sum('failed')} failed`,
    ].join('; ');
    if (!this.isTTY) return this.log(line);
    const now = `${line}; now ${[...this.#running].join(' ')}`.slice(0, (process.stdout.columns ?? 80) - 1);
    process.stdout.write(`\r\x1b[K${now}`);
  }

  #clear() {
    if (this.isTTY) process.stdout.write('\r\x1b[K');
  }

  #time() {
    return minutes(performance.now() - this.#began);
  }
}
