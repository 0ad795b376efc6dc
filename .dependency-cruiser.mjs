/**
 * The walls of the house, as ARCHITECTURE.md tells them. `npm run check` fails where an import breaks one; an
 * `import type` counts like any other.
 */

/** The layers of `runtime/`, from the top. A file may import from its own layer and from those below. */
const LAYERS = [
  ['cli', 'main\\.ts', 'server'],
  ['http', 'ops', 'dev'],
  ['sqs', 'consumer', 'transfer'],
  ['aws', 'queue'],
  ['store'],
  ['settings\\.ts', 'time\\.ts', 'log\\.ts', 'retry\\.ts'],
];

const within = (rooms) => `^runtime/(${rooms.join('|')})(/|$)`;

/** The build, and what it makes. */
const OUTSIDE = ['^runtime/build\\.mjs$', '^runtime/(node_modules|dist)/'];

const arrowsUp = LAYERS.slice(1).map((rooms, index) => ({
  name: 'arrows-only-go-down',
  comment: 'A layer imports from its own rooms and from lower ones: move what both need into the lower room.',
  severity: 'error',
  from: { path: within(rooms) },
  to: { path: within(LAYERS.slice(0, index + 1).flat()) },
}));

export default {
  forbidden: [
    ...arrowsUp,
    {
      name: 'no-circles',
      comment: 'Two files that need each other are one idea, or share something that belongs below both.',
      severity: 'error',
      from: { path: '^(runtime|constructs)/' },
      to: { circular: true },
    },
    {
      name: 'every-file-has-a-room',
      comment: 'A new file stands in a room of ARCHITECTURE.md; a new room needs a place among the layers.',
      severity: 'error',
      from: { path: '^runtime/', pathNot: [within(LAYERS.flat()), ...OUTSIDE] },
      to: {},
    },
    {
      name: 'only-rooms-are-imported',
      comment: 'What stands outside the rooms (the build, the bundle) is no part of the server.',
      severity: 'error',
      from: { path: '^runtime/', pathNot: OUTSIDE },
      to: { path: '^runtime/', pathNot: [within(LAYERS.flat()), '^runtime/package\\.json$'] },
    },
    {
      name: 'constructs-stand-alone',
      comment: 'Users install the constructs without the server.',
      severity: 'error',
      from: { path: '^constructs/' },
      to: { path: '^(runtime|test|bin|examples)/' },
    },
    {
      name: 'the-server-stands-alone',
      comment: 'The server is bundled and published without the constructs, the tests and the examples.',
      severity: 'error',
      from: { path: '^runtime/' },
      to: { path: '^(constructs|test|bin|examples)/' },
    },
    {
      name: 'imports-resolve',
      comment: 'An import that the tool cannot resolve is a wall that it cannot see.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    // Without this `import type` would not count.
    tsPreCompilationDeps: true,
    // No `tsConfig`: with it the package `constructs` would be taken for the folder of that name.
    doNotFollow: { path: ['node_modules'] },
    exclude: { path: ['(^|/)dist/'] },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
