/**
 * Loaded into the processes of a CDK synthesis (`NODE_OPTIONS`): notes how `NodejsFunction` bundles each handler, so
 * that an edit of a handler needs no synthesis.
 *
 * `NodejsFunction` runs esbuild by `spawnSync`, in every language of the CDK, because jsii runs the construct in Node.
 * Its command line holds all that the construct was told, and no other file does. The note goes into the folder of the
 * asset, beside what esbuild says of its inputs, and takes part in the hash of an asset that is never deployed. A
 * command that is not understood runs as it is, without a note.
 *
 * It is plain JavaScript without dependencies, because it shares its process with the user's code.
 *
 * @module
 */
const childProcess = require('node:child_process');
const { mkdirSync, writeFileSync } = require('node:fs');
const { basename, dirname, join, resolve } = require('node:path');

/** Read by `runtime/dev/cdk-bundle.ts`. */
const NOTE = 'karin-bundle.json';
const METAFILE = 'karin-metafile.json';

const { spawnSync } = childProcess;
childProcess.spawnSync = function noted(command, args, options, ...rest) {
  return spawnSync.call(this, command, Array.isArray(args) ? withNote(command, args, options) : args, options, ...rest);
};

/** Notes the command, if it is esbuild's, and answers the arguments to run it with. */
function withNote(command, args, options) {
  const cwd = resolve(String(options?.cwd ?? '.'));
  const [first, text] = args;
  // Earlier versions of the CDK chain commands in a shell, later ones run esbuild itself.
  if (args.length === 2 && first === '-c' && basename(command) === 'bash') {
    const found = esbuildIn(wordsOf(text));
    const added =
      found &&
      note(
        found.map(({ value }) => value),
        cwd,
      );
    if (!added) return args;
    const { end } = found[found.length - 1];
    return ['-c', `${text.slice(0, end)} ${added.map(quoted).join(' ')}${text.slice(end)}`];
  }
  const found = esbuildIn([command, ...args].map((value) => ({ value })));
  const added =
    found &&
    note(
      found.map(({ value }) => value),
      cwd,
    );
  return added ? [...args, ...added] : args;
}

/** The arguments of the one call of esbuild among the words. */
function esbuildIn(words) {
  const at = words?.findIndex(({ value }, index) => value === '--bundle' && isEsbuild(words[index - 1]?.value)) ?? -1;
  if (at < 0) return undefined;
  const next = words.findIndex(({ separates }, index) => index > at && separates);
  return words.slice(at, next < 0 ? undefined : next);
}

function isEsbuild(word) {
  return word !== undefined && basename(word) === 'esbuild';
}

/** Writes the note; answers the arguments that are to be added, or nothing if the call is not understood. */
function note(flags, cwd) {
  const given = (name) => flags.find((flag) => flag.startsWith(`--${name}=`))?.slice(name.length + 3);
  const outfile = given('outfile');
  if (outfile === undefined) return undefined;
  const folder = dirname(resolve(cwd, outfile));
  const metafile = given('metafile') ?? join(folder, METAFILE);
  const settings = flags.filter((flag) => !/^--(outfile|metafile|sourcemap)(=|$)/.test(flag));
  try {
    mkdirSync(folder, { recursive: true });
    const told = { cwd, flags: settings, outfile: basename(outfile), metafile: basename(metafile) };
    writeFileSync(join(folder, NOTE), JSON.stringify(told));
  } catch {
    // What esbuild cannot write either, it will tell.
    return undefined;
  }
  return [
    ...(given('metafile') === undefined ? [`--metafile=${metafile}`] : []),
    // Traces are to point at the sources.
    ...(flags.some((flag) => /^--sourcemap(=|$)/.test(flag)) ? [] : ['--sourcemap']),
  ];
}

/**
 * The words of a shell command with their ends, and `&&` as words that separate; nothing if it has anything that only a
 * shell can work out.
 */
function wordsOf(text) {
  const words = [];
  const pattern = /\s*(?:(&&)|((?:"(?:[^"\\$`]|\\.)*"|'[^']*'|\\.|[^\s"'\\$`|;&<>()#])+))/gy;
  while (pattern.lastIndex < text.trimEnd().length) {
    const match = pattern.exec(text);
    if (match === null) return undefined;
    const [, separator, word] = match;
    words.push({ value: separator ?? unquoted(word), separates: separator !== undefined, end: pattern.lastIndex });
  }
  return words;
}

function unquoted(word) {
  return word.replace(/"((?:[^"\\]|\\.)*)"|'([^']*)'|\\(.)/g, (_, double, single, plain) =>
    double === undefined ? (single ?? plain) : double.replace(/\\(["\\$`])/g, '$1'),
  );
}

/** For a shell. */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
