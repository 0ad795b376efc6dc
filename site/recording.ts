/**
 * Records a session with Karin, as it really goes, and draws it for the README: `npm run recording`.
 *
 * Two terminals: one runs `npm run dev`, the other one sends with curl. What either prints is kept with its time.
 * Pauses are shortened; the folder of this clone is written `~/karin`. Needs `script` (util-linux), which makes the
 * first one believe that a person looks, and curl.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { drawTerminals, type Line, shortened } from './terminal-svg.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url)).replace(/\/$/, '');
const TARGET = `${ROOT}/docs/images/session.svg`;
const LONGEST_PAUSE_MS = 2_200;
const PORT = 4000;

/** What is typed into the second terminal, each with what ends it in the first one: the end of a batch. */
const SENDS: readonly (readonly [command: string, printed: RegExp])[] = [
  [`curl http://127.0.0.1:${PORT}/in/000000000000/Jobs -d hello`, /hello \(after.*? ms: ok/s],
  [`curl "http://127.0.0.1:${PORT}/in/000000000000/Jobs?delay=5" -d later`, /later \(after.*? ms: ok/s],
  [`curl http://127.0.0.1:${PORT + 1}/functions/Producer/`, /world \(after.*? ms: ok/s],
];

class Recording {
  readonly #startedAt = performance.now();
  readonly lines: Line[] = [];
  readonly #watchers = new Set<() => void>();

  add(text: string): void {
    const shown = text.replaceAll('\r', '').replaceAll(ROOT, '~/karin').replaceAll('\t', '  ');
    this.lines.push({ at: Math.round(performance.now() - this.#startedAt), text: shown });
    for (const watcher of this.#watchers) watcher();
  }

  /** Takes what a program prints, line by line. */
  take(stream: NodeJS.ReadableStream): void {
    let rest = '';
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.add(line);
    });
    stream.on('end', () => {
      if (rest !== '') this.add(rest);
    });
  }

  /** Resolves when what was shown so far matches; it may go over several lines. */
  shows(pattern: RegExp): Promise<void> {
    return new Promise((resolve) => {
      const watcher = (): void => {
        if (!pattern.test(this.lines.map(({ text }) => text).join('\n'))) return;
        this.#watchers.delete(watcher);
        resolve();
      };
      this.#watchers.add(watcher);
      watcher();
    });
  }
}

async function record(): Promise<void> {
  const server = new Recording();
  const sender = new Recording();
  server.add('\u001b[1m$ npm run dev\u001b[22m');
  const dev = spawn('script', ['--quiet', '--flush', '--return', '--command', 'npm run dev', '/dev/null'], {
    cwd: ROOT,
    env: { ...process.env, PORT: String(PORT), COLUMNS: '200', FORCE_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<never>((_, reject) => {
    dev.once('error', reject);
    dev.once('exit', (status) => reject(new Error(`npm run dev ended with status ${status}`)));
  });
  try {
    server.take(dev.stdout);
    await Promise.race([server.shows(/karin ready/), ended]);
    for (const [command, printed] of SENDS) {
      sender.add(`\u001b[1m$ ${command}\u001b[22m`);
      await type(command, sender);
      await Promise.race([server.shows(printed), ended]);
    }
  } finally {
    ended.catch(() => {});
    dev.kill('SIGINT');
  }
  const panes = shortened(
    [
      { title: 'a clone of Karin', rows: 15, lines: server.lines },
      { title: 'another terminal', rows: 6, lines: sender.lines },
    ],
    LONGEST_PAUSE_MS,
  );
  writeFileSync(
    TARGET,
    drawTerminals(
      panes,
      'Two terminals. npm run dev starts Karin with an example; curl sends a message, and the function prints it.',
    ),
  );
}

function type(command: string, recording: Recording): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('bash', ['-c', `${command} --silent --show-error`], { stdio: ['ignore', 'pipe', 'inherit'] });
    recording.take(child.stdout);
    child.once('error', reject);
    child.once('close', () => resolve());
  });
}

await record();
