// Writes API.md from a jsii assembly, or (without --update) fails if it is not what the sources say.
// Usage: node api-md.mjs <.jsii> <API.md> [--update]
import { readFileSync, writeFileSync } from 'node:fs';
import { INTRODUCTION, inOtherLanguages } from './other-languages.mjs';

const [, , assemblyPath, target, flag] = process.argv;
const { name: packageName, types } = JSON.parse(readFileSync(assemblyPath, 'utf8'));

const KINDS = [
  ['Constructs', (type) => type.kind === 'class' && isConstruct(type)],
  ['Other classes', (type) => type.kind === 'class' && !isConstruct(type)],
  ['Properties', (type) => type.kind === 'interface' && type.datatype === true],
  ['Interfaces', (type) => type.kind === 'interface' && type.datatype !== true],
];

function isConstruct(type) {
  if (type.base === undefined) return false;
  return type.base.startsWith('constructs.') || type.base.startsWith('aws-cdk-lib.') || isConstruct(types[type.base]);
}

const anchor = (fqn) => fqn.split('.').pop().toLowerCase();
const shortName = (fqn) => fqn.split('.').pop();
const linked = (fqn) => (fqn in types ? `[${shortName(fqn)}](#${anchor(fqn)})` : `\`${shortName(fqn)}\``);

function typeName(reference) {
  if (reference === undefined) return '`void`';
  if (reference.primitive !== undefined) return `\`${reference.primitive}\``;
  if (reference.fqn !== undefined) return linked(reference.fqn);
  const { kind, elementtype } = reference.collection;
  return kind === 'array' ? `${typeName(elementtype)}[]` : `map of ${typeName(elementtype)}`;
}

/** Text for a cell of a table: one line, with bars escaped. */
const cell = (text) =>
  text
    .replaceAll(/\s*\n\s*/g, ' ')
    .replaceAll('|', '\\|')
    .trim();
const prose = ({ summary = '', remarks = '' } = {}) => [summary, remarks].filter((text) => text !== '').join('\n\n');
const defaultOf = ({ default: value } = {}) => {
  if (value === undefined) return '';
  return value.startsWith('- ') ? value.slice(2) : `\`${value}\``;
};

function propertyTable(properties) {
  const rows = properties.map((property) => {
    const needed = property.optional === true ? defaultOf(property.docs) || 'none' : '**required**';
    return `| \`${property.name}\` | ${typeName(property.type)} | ${cell(needed)} | ${cell(prose(property.docs))} |`;
  });
  return ['| property | type | default | meaning |', '|---|---|---|---|', ...rows].join('\n');
}

function memberTable(properties) {
  const rows = properties.map(
    (property) =>
      `| \`${property.static === true ? 'static ' : ''}${property.name}\` | ${typeName(property.type)} | ${cell(prose(property.docs))} |`,
  );
  return ['| member | type | meaning |', '|---|---|---|', ...rows].join('\n');
}

function signature(owner, method) {
  const list = (method.parameters ?? [])
    .map(({ name, optional }) => `${name}${optional === true ? '?' : ''}`)
    .join(', ');
  if (method.name === undefined) return `new ${owner.name}(${list})`;
  return method.static === true ? `${owner.name}.${method.name}(${list})` : `${method.name}(${list})`;
}

function methodText(owner, method) {
  const parameters = (method.parameters ?? []).map(
    (parameter) =>
      `- \`${parameter.name}\` (${typeName(parameter.type)}): ${cell(prose(parameter.docs)) || 'as usual'}`,
  );
  const returns = method.returns === undefined ? [] : [`- returns ${typeName(method.returns.type)}`];
  const see = method.docs?.see === undefined ? [] : [`See ${method.docs.see}`];
  return [`#### \`${signature(owner, method)}\``, prose(method.docs), [...parameters, ...returns].join('\n'), ...see]
    .filter((text) => text !== '')
    .join('\n\n');
}

/** The names of the properties that a type inherits by another, so that whoever looks for one finds it. */
function inherited(fqn) {
  if (types[fqn]?.datatype !== true) return '';
  return ` (${propertyNames(types[fqn])
    .map((name) => `\`${name}\``)
    .join(', ')})`;
}

function propertyNames({ properties = [], interfaces = [] }) {
  return [...properties.map(({ name }) => name), ...interfaces.flatMap((fqn) => propertyNames(types[fqn] ?? {}))];
}

function typeText(type) {
  return `${ownText(type)}\n\n${inOtherLanguages(type)}`;
}

function ownText(type) {
  const parents = [type.base, ...(type.interfaces ?? [])].filter((fqn) => fqn !== undefined);
  const text = [`### ${type.name}`, prose(type.docs)];
  if (parents.length > 0) text.push(`Extends ${parents.map((fqn) => linked(fqn) + inherited(fqn)).join(', ')}.`);
  const properties = type.properties ?? [];
  if (type.datatype === true) {
    if (properties.length > 0) text.push(propertyTable(properties));
    return text.filter((part) => part !== '').join('\n\n');
  }
  if (type.initializer?.parameters !== undefined) text.push(methodText(type, type.initializer));
  if (properties.length > 0) text.push(memberTable(properties));
  text.push(...(type.methods ?? []).map((method) => methodText(type, method)));
  return text.filter((part) => part !== '').join('\n\n');
}

const sections = KINDS.map(([title, belongs]) => {
  const members = Object.values(types).filter(belongs);
  members.sort((a, b) => a.name.localeCompare(b.name));
  return [`## ${title}`, ...members.map(typeText)].join('\n\n');
});
const intro = `Everything that \`import { ... } from '${packageName}'\` offers, beyond what it inherits from the AWS CDK.`;
const text = `# API\n\n<!-- Generated from constructs/ by test/conformance/run --update. -->\n\n${intro}\n\n${INTRODUCTION}\n\n${sections.join('\n\n')}\n`;

if (flag === '--update') {
  writeFileSync(target, text);
} else if (readFileSync(target, 'utf8') !== text) {
  console.error('API.md is not what the sources say; run test/conformance/run --update and commit it');
  process.exitCode = 1;
}
