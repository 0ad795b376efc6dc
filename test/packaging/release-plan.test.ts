import { describe, expect, it } from 'vitest';
import { contradictions, type Facts, openPoints, publications } from '../../packaging/release-plan.ts';

const READY: Facts = {
  version: '1.2.0',
  versions: { 'runtime/package.json': '1.2.0' },
  changelog: '# Changelog\n\n## Pending\n\n## 1.2.0 (2026-01-02)\n\n- A thing.\n',
  repository: true,
  changed: '',
};
const PLAN = publications('1.2.0');
const CREDENTIALS = Object.fromEntries(PLAN.flatMap(({ variables }) => variables).map((name) => [name, 'set']));
const openIn = (facts: Facts) => openPoints(facts, PLAN, () => true, CREDENTIALS);

describe('a release', () => {
  it('has nothing in its way when tree, changelog, tools and credentials are as they should be', () => {
    expect(contradictions(READY)).toEqual([]);
    expect(openIn(READY)).toEqual([]);
  });

  it('is refused when a file names another version', () => {
    expect(contradictions({ ...READY, versions: { 'runtime/package.json': '1.1.0' } })).toEqual([
      'runtime/package.json says 1.1.0, package.json says 1.2.0',
    ]);
  });

  it('is refused when the changelog tells nothing of it', () => {
    expect(contradictions({ ...READY, changelog: '# Changelog\n\n## Pending\n\n## 1.1.0\n\n- Old.\n' })).toEqual([
      'CHANGELOG.md tells nothing of 1.2.0, neither in a section of its own nor under Pending',
    ]);
  });

  it('waits until what is pending has become a section of its version', () => {
    const changelog = '# Changelog\n\n## Pending\n\n- A thing.\n';
    expect(contradictions({ ...READY, changelog })).toEqual([]);
    expect(openIn({ ...READY, changelog })[0]).toContain('has no section `## 1.2.0`');
    expect(openIn({ ...READY, changelog: `${changelog}\n## 1.2.0\n\n- Another.\n` })[0]).toContain(
      'has entries under Pending',
    );
  });

  it('waits for a clean tree and for a repository in package.json', () => {
    expect(openIn({ ...READY, changed: ' M README.md', repository: false })).toEqual([
      'the work tree has changes that are not committed',
      'package.json names no repository, which npm and Maven Central demand',
    ]);
  });

  it('names each missing program and credential once, before anything is published', () => {
    const open = openPoints(READY, PLAN, (program) => program !== 'cosign', { ...CREDENTIALS, GITHUB_TOKEN: '' });
    expect(open).toEqual(['cosign is not installed', 'GITHUB_TOKEN is not set']);
  });

  it('publishes to npm with provenance, to PyPI, Maven Central, NuGet, Go and as an image that is signed', () => {
    const commands = PLAN.map(({ command }) => command.join(' '));
    expect(PLAN[0]?.environment['NPM_CONFIG_PROVENANCE']).toBe('true');
    for (const part of [
      'publib-npm',
      'publib-pypi',
      'publib-maven',
      'publib-nuget',
      'publib-golang',
      '--sbom=true',
      'cosign sign',
    ])
      expect(
        commands.some((command) => command.includes(part)),
        part,
      ).toBe(true);
  });
});
