/**
 * The one style sheet of the pages, served by the server itself.
 *
 * @module
 */

export const STYLE = `
:root {
  color-scheme: light dark;
  --ink: light-dark(#1c2733, #e4e9ee);
  --quiet: light-dark(#5d6b7a, #94a3b3);
  --paper: light-dark(#f6f7f9, #12181f);
  --card: light-dark(#fff, #1a222b);
  --line: light-dark(#dde2e8, #2d3845);
  --accent: light-dark(#0b63ce, #6fb1ff);
  --good: light-dark(#16794c, #5fd39a);
  --bad: light-dark(#b42318, #ff8a7d);
  --warn: light-dark(#8a5a00, #f0b849);
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
header { background: var(--card); border-bottom: 1px solid var(--line); }
header > div, main { max-width: 1180px; margin: 0 auto; padding: 0 20px; }
header > div { display: flex; align-items: center; gap: 20px; min-height: 56px; flex-wrap: wrap; }
header .name { font-weight: 700; font-size: 18px; color: var(--ink); text-decoration: none; }
header nav { display: flex; gap: 16px; flex: 1; }
header nav a[aria-current] { color: var(--ink); text-decoration-thickness: 2px; text-underline-offset: 6px; }
main { padding-top: 20px; padding-bottom: 60px; }
a { color: var(--accent); }
h1 { font-size: 22px; margin: 8px 0 16px; overflow-wrap: anywhere; }
h2 { font-size: 16px; margin: 32px 0 10px; }
.quiet { color: var(--quiet); }
.small { font-size: 13px; }
.good { color: var(--good); }
.bad { color: var(--bad); }
.warn { color: var(--warn); }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 8px 12px; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child > td { border-bottom: 0; }
th { font-size: 12px; font-weight: 600; color: var(--quiet); white-space: nowrap; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.empty { color: var(--quiet); padding: 20px 12px; }
.badge { display: inline-block; font-size: 12px; padding: 0 8px; border-radius: 10px; border: 1px solid currentColor; white-space: nowrap; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(200px, 45%), 1fr)); gap: 12px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; }
.card b { color: var(--ink); display: block; font-size: 22px; line-height: 1.3; font-variant-numeric: tabular-nums; }
.state { min-height: 29px; display: flex; align-items: center; }
.time { white-space: nowrap; }
.action { display: flex; flex-wrap: wrap; gap: 4px 10px; align-items: center; }
#status:empty { display: none; }
td { overflow-wrap: anywhere; }
details > summary { cursor: pointer; }
summary code { word-break: break-all; }
.state-of { white-space: nowrap; }
.row.heading { align-items: baseline; }
.row.heading > :first-child { flex: 1; }
pre { font: 13px ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 24em; overflow: auto; background: var(--paper); border: 1px solid var(--line); border-radius: 6px; padding: 8px 10px; margin: 8px 0; }
table.activity th:first-child, table.activity td:first-child { width: 1%; }
td.what { min-width: 16em; }
.notice { border: 1px solid currentColor; border-radius: 8px; padding: 10px 14px; margin: 0 0 14px; background: var(--card); }
.notice ul { margin: 4px 0 0; padding-left: 18px; }
.row { display: flex; gap: 12px; align-items: center; flex-wrap: wrap; }
.row > h1, .row > h2 { flex: 1; }
form { margin: 0; }
form.stack { display: grid; gap: 12px; max-width: 560px; }
label { display: grid; gap: 4px; font-size: 13px; color: var(--quiet); }
input, textarea, button { font: inherit; color: var(--ink); }
input[type="checkbox"] { flex: none; width: 18px; height: 18px; margin: 2px 0; accent-color: var(--accent); }
progress { accent-color: var(--accent); vertical-align: middle; max-width: 100%; }
td.select { width: 1%; }
.controls { display: flex; gap: 12px; align-items: end; flex-wrap: wrap; margin: 12px 0; }
.controls label { flex: 0 1 220px; }
#selection { margin-bottom: 12px; }
.task { display: flex; gap: 4px 12px; align-items: center; flex-wrap: wrap; }
tr.chosen { background: color-mix(in srgb, var(--accent) 10%, transparent); }
input, textarea { background: var(--paper); border: 1px solid var(--line); border-radius: 6px; padding: 7px 10px; width: 100%; }
label.check, label.inline { display: flex; gap: 8px; align-items: center; flex-wrap: wrap; }
label.check[hidden] { display: none; }
label.check input, label.inline input { width: auto; }
.card h3 { font-size: 13px; font-weight: 600; color: var(--quiet); margin: 0; }
.card.stack { display: grid; gap: 12px; }
.card > p:first-child { margin-top: 0; }
.card > p:last-child { margin-bottom: 0; }
textarea { min-height: 90px; font-family: ui-monospace, monospace; font-size: 13px; }
button { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: 6px 14px; cursor: pointer; }
button:hover { border-color: var(--accent); }
button.main { background: light-dark(#0b63ce, #1f5fae); border-color: transparent; color: #fff; }
button.danger { color: var(--bad); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 20px; margin: 0; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); gap: 16px; align-items: start; }
.panels .card h2 { margin-top: 0; }
.spark { width: 80px; height: 20px; vertical-align: middle; }
.chart { margin: 0; padding: 12px; }
.chart svg { width: 100%; min-width: 480px; display: block; }
.chart text { font: 11px system-ui, sans-serif; fill: var(--quiet); }
rect.handled, .legend .handled { fill: var(--good); background: var(--good); }
rect.failed, .legend .failed { fill: var(--bad); background: var(--bad); }
rect.sent, .legend .sent { fill: var(--accent); background: var(--accent); }
.legend { display: flex; gap: 16px; flex-wrap: wrap; margin: 8px 0 0; }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; }
.calm { color: var(--good); margin: 0 0 16px; }
.needs { list-style: none; margin: 0 0 20px; padding: 0; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.needs li { display: flex; gap: 12px; align-items: center; padding: 8px 14px; border-left: 4px solid var(--warn); border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
.needs li.now { border-left-color: var(--bad); }
.needs li:first-child { border-top-left-radius: 8px; border-top-right-radius: 8px; }
.needs li:last-child { border-bottom: 0; border-bottom-left-radius: 8px; border-bottom-right-radius: 8px; }
.needs .what { flex: 1; min-width: 0; }
main > section > h2:first-child { margin-top: 20px; }
form.search { display: flex; gap: 8px; flex-wrap: wrap; margin: 24px 0 12px; }
form.search input { flex: 1 1 220px; width: auto; }
select { font: inherit; color: var(--ink); background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: 6px 8px; }
.pager { margin-top: 10px; }
dialog { color: var(--ink); background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 16px 20px; }
dialog[open] { display: grid; gap: 16px; }
dialog::backdrop { background: rgb(0 0 0 / 40%); }
kbd { font: 13px ui-monospace, monospace; border: 1px solid var(--line); border-radius: 4px; padding: 0 6px; }
.login { max-width: 340px; margin: 12vh auto; }
@media (max-width: 640px) {
  header > div, main { padding-left: 12px; padding-right: 12px; }
  header > div { gap: 4px 16px; padding-top: 8px; padding-bottom: 8px; }
  /* Its button stands below the heading. */
  .row { margin-bottom: 12px; }
  dl { grid-template-columns: 1fr; }
  dt { margin-top: 6px; }
  /* A row of a table is a block, its numbers stand side by side under their names. */
  table, tbody { display: block; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { display: grid; grid-template-columns: repeat(auto-fit, minmax(56px, 1fr)); padding: 8px 12px; border-bottom: 1px solid var(--line); }
  tr:last-child { border-bottom: 0; }
  td { border-bottom: 0; padding: 1px 0; grid-column: 1 / -1; }
  table.activity tr { display: flex; flex-wrap: wrap; column-gap: 12px; }
  table.activity td:first-child, td.select { width: auto; }
  table.activity td:last-child { flex-basis: 100%; }
  td.number { grid-column: auto; text-align: left; padding-top: 4px; white-space: normal; }
  td[data-label]::before { content: attr(data-label); color: var(--quiet); font-size: 12px; }
  td.number[data-label]::before { display: block; }
  .wide { display: none; }
}
`;

/*
 * The one script of the pages. Everything works without it; with it the pages stay fresh, choices search at once, keys
 * work, and dangerous buttons ask without another page.
 *
 * A change is patched into the page: attributes and texts that differ are set. Elements with an id are matched by it,
 * wherever they stand, the others in their order; so a row keeps its focus, its selection and its opened details when
 * other rows come, go or change places. What did not change is not touched. An input keeps what was typed. (The library
 * for this, idiomorph, has 12 KB; elements here never change parents, so fifty lines do.)
 */

export const SCRIPT = `
'use strict';
const RELOAD_MS = 15000;

document.addEventListener('submit', (event) => {
  const question = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
  if (!question) return;
  if (window.confirm(question)) event.target.elements.confirmed.value = 'yes';
  else event.preventDefault();
});
document.addEventListener('change', (event) => {
  const { submit, all } = event.target.dataset;
  if (submit !== undefined) event.target.form.requestSubmit();
  if (all === undefined) return;
  for (const box of document.querySelectorAll('table [data-one]')) box.checked = event.target.checked;
});
// What does nothing without the script is not there without it.
for (const element of document.querySelectorAll('[data-scripted]')) element.hidden = false;

// Copies what the server has, not what the page shows: that spells out what cannot be seen.
for (const button of document.querySelectorAll('[data-copy]')) button.hidden = !navigator.clipboard;
document.addEventListener('click', async (event) => {
  const button = event.target.closest?.('[data-copy]');
  if (!button) return;
  try {
    const response = await fetch(button.dataset.copy, { redirect: 'error' });
    if (!response.ok) throw new Error(String(response.status));
    await navigator.clipboard.writeText(await response.text());
    button.textContent = 'Copied';
  } catch {
    setStatus('It could not be copied. Select it, or download it.');
  }
});

// A notice says what was just done; a reload must not say it again.
const address = new URL(location.href);
if (address.searchParams.has('done')) {
  address.searchParams.delete('done');
  history.replaceState(null, '', address);
}

function patch(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== 'open') old.removeAttribute(name);
  }
  patchChildren(old, fresh);
}

// What is gone is removed first: then whoever keeps his place among his siblings need not be moved, and what moves
// loses a selection.
function patchChildren(old, fresh) {
  const wanted = [...fresh.childNodes];
  const ids = new Set(wanted.map(({ id }) => id).filter(Boolean));
  const named = new Map();
  const others = [];
  for (const node of [...old.childNodes]) {
    if (!node.id) others.push(node);
    else if (ids.has(node.id)) named.set(node.id, node);
    else node.remove();
  }
  let place = old.firstChild;
  for (const node of wanted) {
    const match = node.id ? named.get(node.id) : others.shift();
    if (match === undefined) {
      old.insertBefore(node, place);
      continue;
    }
    if (match === place) place = place.nextSibling;
    else move(old, match, place);
    patch(match, node);
  }
  for (const node of others) node.remove();
}

function move(parent, node, place) {
  const focused = document.activeElement;
  // Younger browsers move an element without taking it out.
  if (parent.moveBefore) parent.moveBefore(node, place);
  else parent.insertBefore(node, place);
  if (focused !== document.activeElement) focused.focus({ preventScroll: true });
}

function patchPart(id, html) {
  const old = document.getElementById(id);
  if (!old) return;
  const template = document.createElement('template');
  template.innerHTML = html;
  if (template.content.firstElementChild) patch(old, template.content.firstElementChild);
}

function setStatus(text) {
  const status = document.getElementById('status');
  if (status && status.textContent !== text) status.textContent = text;
}

const live = document.body.dataset.live;
let stream;
let reload;

// Where the stream does not come through (an old proxy, too many open pages), the whole page is read again.
async function readAgain() {
  if (document.hidden) return;
  try {
    const response = await fetch(live, { headers: { accept: 'text/html' }, redirect: 'error' });
    if (!response.ok) throw new Error(String(response.status));
    const page = new DOMParser().parseFromString(await response.text(), 'text/html');
    for (const part of page.querySelectorAll('main > section[id]')) {
      const old = document.getElementById(part.id);
      if (old) patch(old, document.importNode(part, true));
    }
    setStatus('');
  } catch {
    setStatus('The server does not answer; what is shown may be old.');
  }
}

function follow() {
  stream?.close();
  stream = undefined;
  clearInterval(reload);
  if (!live || document.hidden) return;
  stream = new EventSource(live);
  stream.addEventListener('patch', (event) => {
    const { id, html } = JSON.parse(event.data);
    setStatus('');
    patchPart(id, html);
  });
  stream.addEventListener('bye', () => location.reload());
  stream.addEventListener('open', () => setStatus(''));
  stream.addEventListener('error', () => {
    setStatus('The server does not answer; what is shown may be old.');
    if (stream?.readyState !== EventSource.CLOSED) return;
    clearInterval(reload);
    reload = setInterval(readAgain, RELOAD_MS);
    readAgain();
  });
}
document.addEventListener('visibilitychange', follow);
window.addEventListener('pagehide', () => stream?.close());
follow();

// Keys: / searches, g q goes to the queues, g f to the functions, ? lists them.
let before = '';
document.addEventListener('keydown', (event) => {
  const typing = event.target.closest?.('input, textarea, select, [contenteditable]');
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const base = document.body.dataset.base ?? '';
  const keys = before + event.key;
  before = event.key === 'g' ? 'g' : '';
  const go = { gq: '/ops', gf: '/functions', gs: '/ops/system' }[keys];
  if (go) location.href = base + go;
  else if (event.key === '/') {
    const search = document.querySelector('[data-key="/"]');
    if (search) { event.preventDefault(); search.focus(); search.select(); }
    else location.href = base + '/ops#search';
  } else if (event.key === '?') document.getElementById('keys')?.showModal?.();
});
`;
