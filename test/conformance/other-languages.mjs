// What the parts of the API are called in the languages for which jsii generates a package. `names.mjs` proves it.
import { readFileSync } from 'node:fs';

const targets = JSON.parse(readFileSync(new URL('../../packaging/targets.json', import.meta.url), 'utf8'));
const { java, dotnet, go, python } = targets;

const capital = (name) => name[0].toUpperCase() + name.slice(1);
// As `codemaker` does, which jsii uses: KiB, MiB and GiB are one word.
const snake = (name) =>
  name
    .replaceAll(/(?<![A-Z])[KMG]iB(?![a-z])/g, (unit) => capital(unit.toLowerCase()))
    .replaceAll(/([a-z\d])([A-Z])/g, '$1_$2')
    .replaceAll(/([A-Z]+)([A-Z][a-z])/g, '$1_$2')
    .toLowerCase();

export const INTRODUCTION = [
  'The names are those of TypeScript. Below each type stand those of the other languages, whose packages are generated',
  'from the same sources:',
  '',
  '| language | package | import |',
  '|---|---|---|',
  '| TypeScript | `karin-queue` | `import { KarinQueue } from "karin-queue";` |',
  `| Python | \`${python.distName}\` | \`from ${python.module} import KarinQueue\` |`,
  `| Java | \`${java.maven.groupId}:${java.maven.artifactId}\` | \`import ${java.package}.KarinQueue;\` |`,
  `| .NET | \`${dotnet.packageId}\` | \`using ${dotnet.namespace};\` |`,
  `| Go | \`${go.moduleName}/${go.packageName}\` | \`import "${go.moduleName}/${go.packageName}"\` |`,
  '',
  'In Python the properties of a struct are keyword arguments. In Java a struct and a construct have a builder,',
  '`KarinQueue.Builder.create(scope, id).visibilityTimeout(...).build()`. In .NET a struct is a class with an object',
  'initializer. In Go a struct holds pointers, `jsii.String("...")`, and what is a property elsewhere is a method.',
].join('\n');

/** Each member of a type: its names in TypeScript, Python, Java, .NET and Go. */
export function namesOf(type) {
  const { name: owner } = type;
  // What only a subclass sees is left out: Go has no subclasses.
  const [properties, methods] = [type.properties ?? [], type.methods ?? []].map((members) =>
    members.filter((member) => member.protected !== true),
  );
  if (type.datatype === true)
    return properties.map(({ name }) => names(name, snake(name), name, capital(name), capital(name)));
  const created = type.kind === 'class' && type.abstract !== true && type.initializer !== undefined;
  return [
    ...(created ? [names(`new ${owner}`, owner, `new ${owner}`, `new ${owner}`, `New${owner}`)] : []),
    ...properties.map(({ name, static: ofClass, const: constant }) =>
      constant === true
        ? member(owner, ofClass, name, name, name, name)
        : member(owner, ofClass, name, snake(name), `get${capital(name)}`, capital(name)),
    ),
    ...methods.map(({ name, static: ofClass }) => member(owner, ofClass, name, snake(name), name, capital(name))),
  ];
}

/** A static member goes by the name of its class. */
function member(owner, ofClass, typescript, pythonName, javaName, dotnetName) {
  if (ofClass !== true) return names(typescript, pythonName, javaName, dotnetName, capital(typescript));
  const qualified = [typescript, pythonName, javaName, dotnetName].map((name) => `${owner}.${name}`);
  return names(...qualified, `${owner}_${capital(typescript)}`);
}

function names(typescript, pythonName, javaName, dotnetName, goName) {
  return { typescript, python: pythonName, java: javaName, dotnet: dotnetName, go: goName };
}

/** The names of a type as a part of its section that opens on demand. */
export function inOtherLanguages(type) {
  const rows = namesOf(type);
  if (rows.length === 0) return '';
  return [
    `<details><summary><code>${type.name}</code> in Python, Java, .NET and Go</summary>`,
    '',
    '| TypeScript | Python | Java | .NET | Go |',
    '|---|---|---|---|---|',
    ...rows.map(
      (names) =>
        `| ${Object.values(names)
          .map((name) => `\`${name}\``)
          .join(' | ')} |`,
    ),
    '',
    '</details>',
  ].join('\n');
}
