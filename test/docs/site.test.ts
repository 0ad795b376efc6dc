/** The site holds every document, and a link on it leads somewhere. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { anchorOf, deadLinks, Links, type Token } from '../../site/links.ts';
import { koreanPages, navigation, otherDocuments, placeOf } from '../../site/navigation.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A folder with these files. */
function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'karin-site-'));
  folders.push(folder);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

describe('the navigation of the site', () => {
  const pages = [...navigation(ROOT).flatMap((section) => section.pages), ...koreanPages(ROOT)];

  it('leads to every document of docs/ and of the examples', () => {
    const documents = ['docs', 'examples'].flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
        .filter((path) => path.endsWith('.md') && !path.includes('node_modules') && !path.includes('cdk.out'))
        .map((path) => `${folder}/${path}`),
    );
    expect(documents.length).toBeGreaterThan(30);
    expect(documents.filter((document) => !pages.some(({ source }) => source === document))).toEqual([]);
  });

  it('has one place for each page', () => {
    const places = pages.map(({ source }) => placeOf(source));
    expect(places.filter((place, index) => places.indexOf(place) !== index)).toEqual([]);
  });

  it('begins the Korean pages with the README', () => {
    expect(koreanPages(ROOT).map(({ source }) => placeOf(source))).toEqual(
      expect.arrayContaining(['ko/overview.md', 'ko/first-deployment.md']),
    );
    expect(koreanPages(ROOT)[0]?.source).toBe('README.ko.md');
  });

  it('puts a document that its plan does not name at the end of a section', () => {
    const guides = navigation(ROOT).find(({ title }) => title === 'How it is built');
    expect(guides?.pages.map(({ source }) => source)).toContain('docs/decisions/one-sorted-set.md');
  });

  it('leaves out what is Markdown and no page', () => {
    const left = otherDocuments(ROOT, new Set(pages.map(({ source }) => source)));
    expect(left).toEqual(expect.arrayContaining(['test/**', 'node_modules/**']));
    expect(left.filter((path) => path.startsWith('docs/') && path.endsWith('.md'))).toEqual([]);
  });
});

describe('a link of a document', () => {
  const root = folderWith({
    'docs/guides/a.md': '# A',
    'docs/guides/b.md': '# B',
    'examples/hello/README.md': '# hello',
    'runtime/fly.toml': 'app = "karin"\n',
    'runtime/nested/x.txt': 'x',
  });
  const pages = ['docs/guides/a.md', 'docs/guides/b.md', 'examples/hello/README.md'];
  const links = new Links({ root, places: new Map(pages.map((source) => [source, placeOf(source)])) });
  const target = (href: string): string => links.target(href, 'docs/guides/a.md');

  it.each([
    ['b.md', '/guides/b.md'],
    ['b.md#what-it-is', '/guides/b.md#what-it-is'],
    ['../../examples/hello', '/examples/hello.md'],
    ['../../examples/hello/', '/examples/hello.md'],
    ['../guides', '/guides/a.md'],
    ['#here', '#here'],
    ['https://aws.amazon.com/sqs/pricing/', 'https://aws.amazon.com/sqs/pricing/'],
  ])('%s leads to %s', (href, place) => {
    expect(target(href)).toBe(place);
  });

  it('to a file that is no page leads to a copy of it', () => {
    expect(target('../../runtime/fly.toml')).toBe('/files/runtime/fly.toml.txt');
    expect(target('../../runtime')).toBe('/files/runtime.txt');
    const site = folderWith({});
    links.copyFiles(site);
    expect(readFileSync(join(site, 'files/runtime/fly.toml.txt'), 'utf8')).toBe('app = "karin"\n');
    expect(readFileSync(join(site, 'files/runtime.txt'), 'utf8')).toBe('fly.toml\nnested\n');
  });

  it.each(['c.md', '../../../outside.md', '../../runtime/fly.yaml'])('to nothing ends the build: %s', (href) => {
    expect(() => target(href)).toThrow('docs/guides/a.md links to');
  });

  it('and a picture for two schemes become what the switch of the site can choose from', () => {
    const attributes = new Map([['href', 'b.md']]);
    const link: Token = {
      type: 'link_open',
      content: '',
      children: null,
      attrGet: (name) => attributes.get(name) ?? null,
      attrSet: (name, value) => attributes.set(name, value),
    };
    const picture =
      '<picture>\n  <source media="(prefers-color-scheme: dark)" srcset="dark.webp">\n' +
      '  <img src="light.webp" alt="A page">\n</picture>\n';
    const html: Token = { ...link, type: 'html_block', content: picture };
    links.rewrite([{ ...link, type: 'inline', children: [link] }, html], 'docs/guides/a.md');
    expect(attributes.get('href')).toBe('/guides/b.md');
    expect(html.content).toContain('<img class="only-dark" src="./dark.webp" alt="A page">');
    expect(html.content).not.toContain('<picture>');
  });
});

describe('the check of a built site', () => {
  const page = (body: string): string => `<html><body>${body}</body></html>`;

  it('finds links to no file, to no anchor and beside the base path', () => {
    const site = folderWith({
      'index.html': page('<a href="/karin/guides/a">a</a><a href="/karin/guides/gone">x</a><a href="/guides/a">y</a>'),
      'guides/a.html': page('<h2 id="one">1</h2><a href="#one">1</a><a href="#two">2</a><img src="./gone.png">'),
    });
    expect(deadLinks(site, '/karin/')).toEqual([
      'guides/a.html: #two',
      'guides/a.html: ./gone.png',
      'index.html: /karin/guides/gone',
      'index.html: /guides/a',
    ]);
  });

  it('is content with pages, folders, files and other sites', () => {
    const site = folderWith({
      'index.html': page('<a href="/examples/">e</a><a href="/mark.svg">m</a><a href="https://nowhere.invalid/">n</a>'),
      'examples/index.html': page('<a href="/#top">t</a><h1 id="x"></h1><a href="../">up</a>').replace('#top', ''),
      'mark.svg': '<svg/>',
    });
    expect(deadLinks(site, '/')).toEqual([]);
  });
});

it('anchors are those of GitHub', () => {
  expect(anchorOf('3. A capability for the senders')).toBe('3-a-capability-for-the-senders');
  expect(anchorOf('`karin dev`: reload & watch')).toBe('karin-dev-reload--watch');
});
