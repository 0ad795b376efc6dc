/**
 * Draws what a terminal showed, and when, as an SVG that plays by itself: no script, no font, no file beside it.
 *
 * One round of the animation lasts as long as the session and a pause. Each line has keyframes of its own, which are
 * hidden before the share of the round at which the line came, so all of them begin anew together. A pane that is full
 * moves up by a line, as a terminal does. Where people want less motion, the last state stands there at once. Colours
 * follow the scheme of the reader.
 *
 * @module
 */

/** A line of a pane, with the escape sequences of its colours. */
export interface Line {
  /** Milliseconds after the beginning. */
  readonly at: number;
  readonly text: string;
}

export interface Pane {
  /** What stands in its bar. */
  readonly title: string;
  /** Lines that fit in. */
  readonly rows: number;
  readonly lines: readonly Line[];
}

/** Columns of a pane; longer lines are wrapped. */
export const COLUMNS = 106;

const FONT_PX = 13;
const COLUMN_PX = 8;
const ROW_PX = 19;
const BAR_PX = 26;
const PADDING_PX = 14;
const GAP_PX = 10;
/** From a baseline down to where the next row begins: what moved out above leaves no tails. */
const DESCENT_PX = 5;
/** How long the last state stays before the next round, ms. */
const REST_MS = 4_000;
/** Between two lines that came at one time, so that the eye sees them come, ms. */
const LEAST_MS = 40;

const STYLE = `text{font:${FONT_PX}px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#1f2933;white-space:pre}
.pane{fill:#f7f4ef;stroke:#d8d0c4}.bar{fill:#ece6dc}.title{fill:#66707c;font-size:11px}
.b{font-weight:700}.d{fill:#66707c}.c1{fill:#b3261e}.c2{fill:#1e6b3a}.c3{fill:#8a5a00}.c4{fill:#1d4ed8}.c5{fill:#8b3fa0}.c6{fill:#0f6a75}
@media (prefers-color-scheme:dark){text{fill:#e6e1d8}.pane{fill:#16181d;stroke:#3a3f47}.bar{fill:#22262d}.title,.d{fill:#a3adb9}
.c1{fill:#ff8a80}.c2{fill:#7bd88f}.c3{fill:#ffc66d}.c4{fill:#8ab4ff}.c5{fill:#d9a0ee}.c6{fill:#7fd6e0}}
@media (prefers-reduced-motion:reduce){*{animation:none!important}}`;

/** The whole picture. Lines of all panes share one clock. @param label What it shows, for who does not see it. */
export function drawTerminals(panes: readonly Pane[], label: string): string {
  const wrapped = panes.map(({ lines, ...pane }) => ({ ...pane, lines: inTurn(lines.flatMap(wrap)) }));
  const end = Math.max(...wrapped.flatMap(({ lines }) => lines.map(({ at }) => at)), 0) + REST_MS;
  const share = (at: number): string => `${Number(((at / end) * 100).toFixed(2))}%`;
  const rules: string[] = [];
  const animated = (frames: string): string => {
    const name = `k${rules.length}`;
    rules.push(`@keyframes ${name}{${frames}}`);
    return `animation:${name} ${end}ms step-end infinite`;
  };
  const width = COLUMNS * COLUMN_PX + 2 * PADDING_PX;
  let top = 0;
  const drawn = wrapped.map(({ title, rows, lines }) => {
    const height = rows * ROW_PX + PADDING_PX;
    const y = top;
    top += BAR_PX + height + GAP_PX;
    const texts = lines.map(({ at, text }, row) => {
      const style = at === 0 ? '' : ` style="${animated(`0%{opacity:0}${share(at)}{opacity:1}`)}"`;
      return `<text y="${(row + 1) * ROW_PX - DESCENT_PX}"${style}>${coloured(text)}</text>`;
    });
    const beyond = lines.slice(rows).map(({ at }, index) => ({ at, by: -(index + 1) * ROW_PX }));
    const moves = beyond.map(({ at, by }) => `${share(at)}{transform:translateY(${by}px)}`);
    const last = beyond.at(-1)?.by ?? 0;
    const scroll =
      beyond.length === 0
        ? ''
        : ` style="transform:translateY(${last}px);${animated(`0%{transform:none}${moves.join('')}`)}"`;
    return `<g transform="translate(0 ${y})"><rect class="pane" x=".5" y=".5" width="${width - 1}" height="${BAR_PX + height - 1}" rx="8"/><path class="bar" d="M1 ${BAR_PX}V8a7 7 0 0 1 7-7H${width - 8}a7 7 0 0 1 7 7v${BAR_PX - 8}z"/><text class="title" x="${PADDING_PX}" y="17">${escaped(title)}</text><svg x="${PADDING_PX}" y="${BAR_PX + DESCENT_PX}" width="${width - 2 * PADDING_PX}" height="${height - DESCENT_PX}"><g${scroll}>${texts.join('')}</g></svg></g>`;
  });
  const height = top - GAP_PX;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(label)}"><style>${STYLE}\n${rules.join('')}</style>${drawn.join('')}</svg>\n`;
}

/** Shortens pauses of all panes to `most` ms, and keeps what comes before what. */
export function shortened(panes: readonly Pane[], most: number): readonly Pane[] {
  const times = [...new Set(panes.flatMap(({ lines }) => lines.map(({ at }) => at)))].sort((a, b) => a - b);
  const moved = new Map<number, number>();
  let now = 0;
  for (const [index, at] of times.entries()) {
    now += Math.min(at - (times[index - 1] ?? 0), most);
    moved.set(at, now);
  }
  return panes.map((pane) => ({
    ...pane,
    lines: pane.lines.map(({ at, text }) => ({ at: moved.get(at) ?? at, text })),
  }));
}

/** Each line a little after the one before it. */
function inTurn(lines: readonly Line[]): readonly Line[] {
  let before = Number.NEGATIVE_INFINITY;
  return lines.map(({ at, text }) => {
    before = Math.max(at, before + LEAST_MS);
    return { at: before, text };
  });
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: sequences of a terminal begin with the escape character.
const SEQUENCE = /\u001b\[([\d;]*)([A-Za-z])/g;

const plain = (text: string): string => text.replaceAll(SEQUENCE, '');

/** Lines that are too long go on in the next row. Only uncoloured ones are: coloured lines are short. */
function wrap({ at, text }: Line): readonly Line[] {
  const bare = plain(text);
  if (bare.length <= COLUMNS) return [{ at, text }];
  const rows = bare.match(new RegExp(`.{1,${COLUMNS}}`, 'gu')) ?? [];
  return rows.map((row) => ({ at, text: row }));
}

/** Colours and bold letters as classes; other sequences are left out. */
function coloured(text: string): string {
  let classes: readonly string[] = [];
  let from = 0;
  let svg = '';
  const put = (piece: string): void => {
    if (piece === '') return;
    svg += classes.length === 0 ? escaped(piece) : `<tspan class="${classes.join(' ')}">${escaped(piece)}</tspan>`;
  };
  for (const { index, 0: sequence, 1: codes = '', 2: command } of text.matchAll(SEQUENCE)) {
    put(text.slice(from, index));
    from = index + sequence.length;
    if (command === 'm') classes = codes.split(';').reduce(styled, classes);
  }
  put(text.slice(from));
  return svg;
}

/** Select Graphic Rendition, as far as our output uses it. */
function styled(classes: readonly string[], code: string): readonly string[] {
  const number = Number(code);
  if (number === 0) return [];
  if (number === 1) return [...classes, 'b'];
  if (number === 2 || number === 90) return [...classes, 'd'];
  if (number === 22) return classes.filter((name) => name !== 'b' && name !== 'd');
  if (number === 39) return classes.filter((name) => !/^(?:c\d|d)$/.test(name));
  const colour = number >= 91 && number <= 96 ? number - 90 : number - 30;
  return colour >= 1 && colour <= 6 ? [...classes.filter((name) => !/^c\d$/.test(name)), `c${colour}`] : classes;
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escaped = (text: string): string => text.replaceAll(/[&<>"]/g, (character) => ENTITIES[character] ?? character);
