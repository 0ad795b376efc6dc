/**
 * The one script of the pages. Everything works without it; with it the numbers stay fresh, and dangerous buttons ask without another page.
 *
 * @module
 */
export const SCRIPT = `
'use strict';
const REFRESH_MS = 5000;

document.addEventListener('submit', (event) => {
  const question = event.target.dataset.confirm;
  if (!question) return;
  if (window.confirm(question)) event.target.elements.confirmed.value = 'yes';
  else event.preventDefault();
});

// Asks the same page again and takes over the parts that live; forms stand outside of them, so nothing that was typed is lost.
async function refresh() {
  const parts = document.querySelectorAll('[data-live]');
  if (parts.length === 0 || document.hidden) return;
  try {
    const response = await fetch(location.href, { headers: { accept: 'text/html' }, redirect: 'error' });
    if (!response.ok) throw new Error(String(response.status));
    const page = new DOMParser().parseFromString(await response.text(), 'text/html');
    for (const part of parts) {
      const fresh = page.getElementById(part.id);
      if (fresh && !part.contains(document.activeElement)) part.replaceChildren(...fresh.childNodes);
    }
    setStatus('');
  } catch {
    setStatus('The server does not answer; what is shown may be old.');
  }
}

function setStatus(text) {
  const status = document.getElementById('status');
  if (status) status.textContent = text;
}

setInterval(refresh, REFRESH_MS);
document.addEventListener('visibilitychange', refresh);
`;
