// Fails unless the names that API.md gives for Python, Java, .NET and Go stand in the generated sources.
// Usage: node names.mjs <.jsii> <folder of the packages> <folder with the unpacked packages of Python and Java>
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { namesOf } from './other-languages.mjs';

const [, , assembly, packages, sources] = process.argv;
const { types } = JSON.parse(readFileSync(assembly, 'utf8'));

const sourcesIn = (folder, ending) =>
  readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith(ending))
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('\n');
const SOURCES = {
  python: sourcesIn(join(sources, 'python'), '.py'),
  java: sourcesIn(join(sources, 'java'), '.java'),
  dotnet: sourcesIn(join(packages, 'dotnet'), '.cs'),
  go: sourcesIn(join(packages, 'go'), '.go'),
};

let count = 0;
for (const type of Object.values(types)) {
  for (const { typescript, ...names } of namesOf(type)) {
    for (const [language, name] of Object.entries(names)) {
      const word = name.replace(/^new /, '').split('.').pop();
      if (!new RegExp(`\\b${word}\\b`).test(SOURCES[language]))
        throw new Error(`${type.name}: ${typescript} is not called ${name} in the ${language} package`);
      count += 1;
    }
  }
}
if (count < 300) throw new Error(`only ${count} names were looked at`);
process.stdout.write(`${count} names stand in the generated sources\n`);
