/**
 * What functions print, with the name of the function before each line.
 *
 * @module
 */

/** Where the lines go. */
export interface Output {
  /** A line that a function printed. */
  line(functionName: string, text: string): void;
}

/** ANSI colours that are readable on dark and light terminals; one per function, in turn. */
const COLOURS = [36, 35, 33, 32, 34, 31];
/** A process that never ends its line must not fill the memory, characters. */
const LONGEST_LINE = 65_536;

/** Writes `[name] text` lines; with `colour`, each name in a colour of its own. */
export function createOutput(write: (text: string) => void, colour: boolean): Output {
  const colours = new Map<string, number>();
  return {
    line(functionName, text) {
      if (!colour) return write(`[${functionName}] ${text}\n`);
      const chosen = colours.get(functionName) ?? COLOURS[colours.size % COLOURS.length] ?? 0;
      colours.set(functionName, chosen);
      write(`\u001b[${chosen}m[${functionName}]\u001b[39m ${text}\n`);
    },
  };
}

/** Cuts a stream of text into lines; `end` gives the last one, if it was never finished. */
export function lineSplitter(line: (text: string) => void): { push(text: string): void; end(): void } {
  let rest = '';
  return {
    push(text) {
      const lines = (rest + text).split(/\r?\n/);
      rest = lines.pop() ?? '';
      for (const one of lines) line(one);
      if (rest.length > LONGEST_LINE) {
        line(rest);
        rest = '';
      }
    },
    end() {
      if (rest !== '') line(rest);
      rest = '';
    },
  };
}
