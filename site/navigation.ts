/**
 * The pages of the site: which documents of the repository they are, where they stand, and in which order.
 *
 * A document is written once, where it reads well on GitHub too. The list below names those whose place matters. Every
 * other document of a folder comes after them by itself, so a new guide is on the site without a change here.
 *
 * @module
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One entry of the navigation. */
export interface Page {
  /** Path of the document in the repository: `docs/guides/tuning.md`. */
  readonly source: string;
  /** What the navigation calls it: a short name, else the first heading of the document. */
  readonly title: string;
}

/** A heading of the navigation and what is below it. */
export interface Section {
  readonly title: string;
  readonly pages: readonly Page[];
  /** Whether the section begins folded. */
  readonly folded: boolean;
}

interface Plan {
  readonly title: string;
  /** Documents, each with its short name where the heading is too long for a navigation. */
  readonly pages: readonly (string | readonly [source: string, title: string])[];
  /** Further documents of these folders come last, by title. `examples/*` means the README of each folder there. */
  readonly rest?: readonly string[];
  readonly folded?: true;
}

const PLAN: readonly Plan[] = [
  {
    title: 'Begin',
    pages: [
      ['docs/guides/five-minutes.md', 'Start in five minutes'],
      ['README.md', 'Karin on one page'],
      ['docs/guides/first-deployment.md', 'The first deployment'],
      ['docs/guides/page.md', "The operator's page"],
      ['docs/guides/alternatives.md', 'Alternatives, and when not'],
      ['docs/faq.md', 'Questions'],
      ['examples/README.md', 'Examples'],
    ],
  },
  {
    title: 'On your machine',
    pages: [
      ['docs/guides/what-karin-dev-runs.md', 'What karin dev runs'],
      ['docs/guides/dev-loop.md', 'The dev loop'],
      ['docs/guides/http-on-one-machine.md', 'HTTP on one machine'],
      ['docs/guides/ingest-local.md', 'Trying deliveries out'],
      ['docs/guides/windows-and-macos.md', 'Windows and macOS'],
    ],
  },
  {
    title: 'Put it into your stack',
    pages: [
      ['docs/guides/cookbook.md', 'Cookbook'],
      ['docs/guides/clients.md', 'Endpoint line of each SDK'],
      ['constructs/README.md', 'CDK constructs'],
      ['packaging/README.md', 'Python, Java, .NET, Go'],
      ['docs/guides/ingest.md', 'SNS, EventBridge, S3, web hooks'],
      ['docs/guides/ingest-recipes.md', 'Their recipes without the CDK'],
      ['docs/guides/sqs-api.md', 'Differences from SQS'],
      ['docs/guides/moving-between-karin-and-sqs.md', 'To Karin and back'],
    ],
  },
  {
    title: 'Run the server',
    pages: [
      ['docs/guides/hosting.md', 'Where to run it'],
      ['docs/guides/redis.md', 'Every kind of Redis'],
      ['docs/guides/accounts-and-regions.md', 'Accounts and regions'],
      'docs/guides/operators.md',
      'docs/guides/alerts.md',
      ['docs/guides/metrics.md', 'Metrics and traces'],
      'docs/guides/tuning.md',
      ['docs/guides/commands.md', 'Queues from the command line'],
      ['docs/guides/export-and-import.md', 'Export and import'],
      ['docs/security-model.md', 'Security model'],
      ['SECURITY.md', 'Report a vulnerability'],
    ],
  },
  { title: 'More guides', pages: [], rest: ['docs/guides', 'docs'] },
  {
    title: 'When something happens',
    pages: [
      'docs/guides/troubleshooting.md',
      'docs/runbooks/upgrade.md',
      'docs/runbooks/restore.md',
      'docs/runbooks/add-a-server.md',
    ],
    rest: ['docs/runbooks'],
  },
  {
    title: 'Reference',
    pages: [
      ['runtime/README.md', 'Settings, credentials, HTTP'],
      ['API.md', 'API of the constructs'],
      ['docs/measurements.md', 'Measurements'],
      ['docs/chaos.md', 'What every fault does'],
      ['docs/soak.md', 'The soak'],
      'CHANGELOG.md',
    ],
  },
  { title: 'Examples', pages: [], rest: ['examples/*'], folded: true },
  { title: 'How it is built', pages: ['ARCHITECTURE.md', 'CONTRIBUTING.md'], rest: ['docs/decisions'], folded: true },
];

/** The Korean pages have a navigation of their own: the README, and all that is in their folder. */
const KOREAN_README = 'README.ko.md';
const KOREAN = 'docs/ko';

/**
 * The navigation of the repository at `root`.
 *
 * Errors: throws if the plan names a document that is not there, or names one twice.
 */
export function navigation(root: string): readonly Section[] {
  const placed = new Set<string>();
  const place = (source: string, title?: string): Page => {
    if (placed.has(source)) throw new Error(`site/navigation.ts names ${source} twice`);
    placed.add(source);
    return { source, title: title ?? titleOf(root, source) };
  };
  const planned = PLAN.map(({ pages }) =>
    pages.map((page) => (typeof page === 'string' ? place(page) : place(page[0], page[1]))),
  );
  return PLAN.map(({ title, rest = [], folded = false }, index) => {
    const more = rest
      .flatMap((folder) => documentsOf(root, folder))
      .filter((source) => !placed.has(source))
      .map((source) => place(source))
      .sort((a, b) => a.title.localeCompare(b.title, 'en'));
    return { title, folded, pages: [...(planned[index] ?? []), ...more] };
  }).filter(({ pages }) => pages.length > 0);
}

/** The Korean pages, the README first; empty where there are none. */
export function koreanPages(root: string): readonly Page[] {
  const readme = existsSync(join(root, KOREAN_README)) ? [KOREAN_README] : [];
  return [...readme, ...documentsOf(root, KOREAN)].map((source) => ({ source, title: titleOf(root, source) }));
}

/** Documents of one folder, by name; those of its subfolders are not its own. */
function documentsOf(root: string, folder: string): readonly string[] {
  if (folder.endsWith('/*')) {
    const parent = folder.slice(0, -2);
    return readdirSync(join(root, parent))
      .map((name) => `${parent}/${name}/README.md`)
      .filter((source) => existsSync(join(root, source)))
      .sort();
  }
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `${folder}/${name}`)
    .sort();
}

/** The first heading of a document. Errors: throws if there is no document, or no heading in it. */
function titleOf(root: string, source: string): string {
  const [, title] = /^# (.+)$/m.exec(readFileSync(join(root, source), 'utf8')) ?? [];
  if (title === undefined) throw new Error(`${source} has no first heading, so the site has no title for it`);
  return title.replaceAll('`', '');
}

/** Documents of the repository that are no pages, and folders that have none, as patterns to leave out. */
export function otherDocuments(root: string, pages: ReadonlySet<string>, folder = ''): readonly string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (!entry.isDirectory()) return entry.name.endsWith('.md') && !pages.has(path) ? [path] : [];
    return [...pages].some((page) => page.startsWith(`${path}/`)) ? otherDocuments(root, pages, path) : [`${path}/**`];
  });
}

/** Where a document stands on the site: `docs/guides/tuning.md` at `guides/tuning.md`. */
export function placeOf(source: string): string {
  const [, example] = /^examples\/(?:([\w-]+)\/)?README\.md$/.exec(source) ?? [];
  if (source === 'README.md') return 'overview.md';
  if (source === KOREAN_README) return 'ko/overview.md';
  if (source === 'API.md') return 'reference/api.md';
  if (source === 'constructs/README.md') return 'reference/constructs.md';
  if (source === 'runtime/README.md') return 'reference/server.md';
  if (source === 'packaging/README.md') return 'reference/packages.md';
  if (source === 'examples/README.md') return 'examples/index.md';
  if (example !== undefined) return `examples/${example}.md`;
  return source
    .replace(/^docs\//, '')
    .replace(/(^|\/)README\.md$/, '$1index.md')
    .replace(/^[A-Z]+\.md$/, (name) => name.toLowerCase());
}
