/**
 * The site, made from the documents of this repository.
 *
 * `DOCS_BASE` is the path below which it is served, with a slash at both ends: `/karin/` on GitHub Pages; `/` by
 * default.
 *
 * @module
 */
import { fileURLToPath } from 'node:url';
import { type DefaultTheme, defineConfig } from 'vitepress';
import { anchorOf, deadLinks, Links } from '../links.ts';
import { koreanPages, navigation, otherDocuments, type Page, placeOf } from '../navigation.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const HOME = 'site/index.md';
const base = process.env['DOCS_BASE'] ?? '/';
if (!/^\/(?:[\w.-]+\/)*$/.test(base))
  throw new Error(`DOCS_BASE is ${base}; it begins and ends with a slash, as /karin/`);

const sections = navigation(ROOT);
const korean = koreanPages(ROOT);
const [firstKorean] = korean;
const sources = [HOME, ...[...sections.flatMap(({ pages }) => pages), ...korean].map(({ source }) => source)];
const places = new Map(sources.map((source) => [source, source === HOME ? 'index.md' : placeOf(source)]));
const links = new Links({ root: ROOT, places });

const item = ({ source, title }: Page): DefaultTheme.SidebarItem => ({
  text: title,
  link: `/${placeOf(source).replace(/(?:index)?\.md$/, '')}`,
});
const english: DefaultTheme.SidebarItem[] = sections.map(({ title, pages, folded }) => ({
  text: title,
  collapsed: folded,
  items: pages.map(item),
}));

export default defineConfig({
  title: 'Karin',
  description: 'SQS queues that trigger Lambda functions, without paying for silence.',
  base,
  srcDir: '..',
  // Everything else that is Markdown in the repository is for those who work on it.
  srcExclude: otherDocuments(ROOT, new Set(sources)),
  outDir: 'dist',
  cacheDir: 'node_modules/.vitepress',
  cleanUrls: true,
  rewrites: Object.fromEntries(places),
  head: [['link', { rel: 'icon', type: 'image/svg+xml', href: `${base}mark.svg` }]],
  markdown: {
    anchor: { slugify: anchorOf },
    config: (markdown) => {
      markdown.core.ruler.push('links-of-the-repository', (state) => {
        // VitePress gives the path of the document itself here; `relativePath` is its place on the site.
        const path: unknown = state.env.realPath ?? state.env.path;
        if (typeof path === 'string') links.rewrite(state.tokens, path.replace(ROOT, ''));
      });
    },
  },
  vite: {
    publicDir: fileURLToPath(new URL('../public', import.meta.url)),
    server: { fs: { allow: [ROOT] } },
    plugins: [
      {
        // Vue is installed beside this file, and Vite looks for it beside each document.
        name: 'vue-of-the-site',
        enforce: 'pre',
        resolveId: (id, _importer, { ssr }) =>
          ssr === true && /^vue(?:\/|$)/.test(id) ? { id, external: true } : null,
      },
    ],
  },
  buildEnd: ({ outDir }) => {
    links.copyFiles(outDir);
    const dead = deadLinks(outDir, base);
    if (dead.length > 0) throw new Error(`the site has dead links:\n${dead.join('\n')}`);
  },
  locales: {
    root: { label: 'English', lang: 'en' },
    ...(firstKorean !== undefined && {
      ko: {
        label: '한국어',
        lang: 'ko',
        link: item(firstKorean).link,
        themeConfig: {
          nav: korean.map((page) => ({ text: page.title, link: `/${placeOf(page.source).replace(/\.md$/, '')}` })),
          outline: { level: [2, 3], label: '이 페이지의 내용' },
          docFooter: { prev: '이전', next: '다음' },
          sidebarMenuLabel: '메뉴',
          returnToTopLabel: '맨 위로',
          darkModeSwitchLabel: '화면 모드',
        },
      },
    }),
  },
  themeConfig: {
    logo: '/mark.svg',
    nav: [
      { text: 'Five minutes', link: '/guides/five-minutes' },
      { text: 'First deployment', link: '/guides/first-deployment' },
      { text: 'Settings', link: '/reference/server' },
      { text: 'Troubleshooting', link: '/guides/troubleshooting' },
    ],
    sidebar: { '/': english, '/ko/': [{ text: '한국어', items: korean.map(item) }] },
    // Not every page is there in both languages, so the switch leads to the first page of the other one.
    i18nRouting: false,
    outline: { level: [2, 3] },
    search: { provider: 'local' },
    externalLinkIcon: true,
  },
});
