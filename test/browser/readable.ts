/**
 * Whether everybody can read a page: by the rules of axe, and by the room that its texts have.
 *
 * @module
 */
import axe from 'axe-core';
import type { Page } from 'playwright-core';

/** Elements that are cut, or that make the page scroll sideways. What scrolls by itself on purpose is left out. */
const CUT = `[document.documentElement, ...document.querySelectorAll('body *')]
  .filter((e) => !e.closest('.chart, pre, input, textarea, select, thead, svg') && e.clientWidth > 0)
  .filter((e) => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline')
  .map((e) => e.outerHTML.slice(0, 120))`;
/** Cells of a table with room for fewer than some eight letters in a line. */
const CRUSHED = `[...document.querySelectorAll('main td:not(.number), main dd')]
  .filter((e) => e.checkVisibility() && e.textContent.trim().length > 8 && e.clientWidth < 80)
  .map((e) => e.outerHTML.slice(0, 120))`;

export async function unreadable(page: Page): Promise<Record<'cut' | 'crushed', readonly string[]>> {
  return {
    cut: await page.evaluate<string[]>(CUT),
    crushed: await page.evaluate<string[]>(CRUSHED),
  };
}

/** What axe finds, a line each; all its rules, also those that are only good practice. */
export async function violations(page: Page): Promise<readonly string[]> {
  // It stays in a page that is asked again.
  if (!(await page.evaluate<boolean>(`'axe' in window`))) await page.evaluate(axe.source);
  const { violations } = await page.evaluate<Pick<axe.AxeResults, 'violations'>>(
    `axe.run(document, { resultTypes: ['violations'] })`,
  );
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${help}: ${html}: ${failureSummary}`),
  );
}
