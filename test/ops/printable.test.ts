import { expect, it } from 'vitest';
import { printable } from '../../runtime/ops/pages/layout.tsx';

it('shows what cannot be seen, and what makes a text look like another', () => {
  expect(printable('a\u0000b\u202egpj.exe\u200b\u2028\ud800\ufeff', 100)).toBe(
    'a\\u{0}b\\u{202e}gpj.exe\\u{200b}\\u{2028}\\u{d800}\\u{feff}',
  );
});

it('leaves ordinary text as it is, in every script', () => {
  const text = 'zwei\tZeilen\n안녕 \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 👩\u200d💻 <b>&amp;';
  expect(printable(text, 100)).toBe(text);
});

it('cuts long text and says so', () => {
  expect(printable('abcdef', 3)).toBe('abc...');
  expect(printable('abc', 3)).toBe('abc');
});
