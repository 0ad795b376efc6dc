/**
 * Links of the documents, which lead from file to file of the repository, as links of the site.
 *
 * A document that is a page of the site is linked as that page. Any other file of the repository is copied into the
 * site as plain text, so that a reader sees it without the repository, and no link is dead. A link to nothing ends the
 * build.
 *
 * @module
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';

/** What the build needs of a token of markdown-it. */
export interface Token {
  readonly type: string;
  content: string;
  readonly children: readonly Token[] | null;
  attrGet(name: string): string | null;
  attrSet(name: string, value: string): void;
}

export interface Repository {
  readonly root: string;
  /** Place on the site by document, both as paths from their roots: `docs/guides/tuning.md`, `guides/tuning.md`. */
  readonly places: ReadonlyMap<string, string>;
}

const FILES = 'files';

/** Makes links of documents into links of the site, and knows which files those lead to. */
export class Links {
  readonly #repository: Repository;
  readonly #copied = new Set<string>();

  constructor(repository: Repository) {
    this.#repository = repository;
  }

  /** Rewrites the links and the pictures in the tokens of `source`. Errors: throws at a link to nothing. */
  rewrite(tokens: readonly Token[], source: string): void {
    for (const token of tokens) {
      const href = token.type === 'link_open' ? token.attrGet('href') : null;
      if (href !== null) token.attrSet('href', this.target(href, source));
      if (token.type === 'html_block') token.content = pictureForBoth(token.content);
      if (token.children !== null) this.rewrite(token.children, source);
    }
  }

  /**
   * Where a link of the document `source` leads on the site. Links to other sites, and within the page, stay.
   *
   * Errors: throws if there is no such file in the repository.
   */
  target(href: string, source: string): string {
    if (/^(?:[a-z][a-z+.-]*:|#|\/\/)/i.test(href)) return href;
    const [path = '', anchor] = href.split('#');
    const file = posix.normalize(posix.join(posix.dirname(source), decodeURIComponent(path))).replace(/\/$/, '');
    const tail = anchor === undefined ? '' : `#${anchor}`;
    const absolute = join(this.#repository.root, file);
    if (file.startsWith('..') || !existsSync(absolute))
      throw new Error(`${source} links to ${href}, which is not there`);
    if (statSync(absolute).isDirectory()) return `${this.#folder(file, href, source)}${tail}`;
    const place = this.#repository.places.get(file);
    if (place !== undefined) return `/${place}${tail}`;
    this.#copied.add(file);
    return `/${FILES}/${file}.txt`;
  }

  /** A folder is its README, else the first page that comes from it, else a list of its files. */
  #folder(folder: string, href: string, source: string): string {
    const { root, places } = this.#repository;
    const readme = places.get(`${folder}/README.md`);
    const first = [...places.keys()].find((document) => posix.dirname(document) === folder);
    const place = readme ?? (first === undefined ? undefined : places.get(first));
    if (place !== undefined) return `/${place}`;
    if (readdirSync(join(root, folder)).length === 0) throw new Error(`${source} links to ${href}, which is empty`);
    this.#copied.add(folder);
    return `/${FILES}/${folder}.txt`;
  }

  /** Writes the files that links lead to into the built site. */
  copyFiles(site: string): void {
    for (const path of this.#copied) {
      const from = join(this.#repository.root, path);
      const to = join(site, FILES, `${path}.txt`);
      mkdirSync(dirname(to), { recursive: true });
      writeFileSync(to, statSync(from).isDirectory() ? `${readdirSync(from).sort().join('\n')}\n` : readFileSync(from));
    }
  }
}

/**
 * GitHub chooses a picture by what the system prefers. The site has a switch of its own, so both pictures are there,
 * and the style sheet shows one.
 */
function pictureForBoth(html: string): string {
  return html.replaceAll(
    /<picture>\s*<source media="\(prefers-color-scheme: dark\)" srcset="([^"]+)">\s*<img src="([^"]+)" alt="([^"]*)">\s*<\/picture>/g,
    (_, dark: string, light: string, alt: string) =>
      `<p><img class="only-light" src="${relative(light)}" alt="${alt}"><img class="only-dark" src="${relative(dark)}" alt="${alt}"></p>`,
  );
}

/** As the bundler wants a file beside the document, and not a package of that name. */
const relative = (path: string): string => (path.startsWith('.') ? path : `./${path}`);

/** The anchor of a heading, as GitHub makes it: a link works in both places. */
export function anchorOf(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-');
}

/**
 * Links of a built site, below `base`, that lead to no file or to no anchor; each with the page where it stands.
 * Links to other sites are not asked for.
 */
export function deadLinks(site: string, base: string): readonly string[] {
  const pages = new Map<string, { readonly anchors: ReadonlySet<string>; readonly links: readonly string[] }>();
  for (const page of filesBelow(site).filter((file) => file.endsWith('.html'))) {
    const html = readFileSync(join(site, page), 'utf8');
    const values = (attribute: string): string[] =>
      [...html.matchAll(new RegExp(` ${attribute}="([^"]*)"`, 'g'))].map(([, value = '']) =>
        value.replaceAll('&amp;', '&'),
      );
    pages.set(page, { anchors: new Set(values('id')), links: [...values('href'), ...values('src')] });
  }
  return [...pages].flatMap(([page, { links }]) =>
    [...new Set(links)].filter((link) => isDead(link, page)).map((link) => `${page}: ${link}`),
  );

  function isDead(link: string, page: string): boolean {
    if (/^(?:[a-z][a-z+.-]*:|\/\/)/i.test(link)) return false;
    const { pathname, hash } = new URL(link, `http://site${base}${page}`);
    if (!pathname.startsWith(base)) return true;
    const path = decodeURIComponent(pathname.slice(base.length));
    const file = [path, `${path}.html`, posix.join(path, 'index.html')].find((candidate) => {
      const place = join(site, candidate);
      return candidate !== '' && existsSync(place) && statSync(place).isFile();
    });
    if (file === undefined) return true;
    const anchors = pages.get(file)?.anchors;
    return hash !== '' && anchors !== undefined && !anchors.has(decodeURIComponent(hash.slice(1)));
  }
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => posix.relative(folder, posix.join(entry.parentPath, entry.name)))
    .sort();
}
