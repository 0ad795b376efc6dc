/**
 * What a release checks, and what it publishes in which order. It looks at nothing itself.
 *
 * @module
 */

export interface Facts {
  /** The version to release, from package.json. */
  readonly version: string;
  /** What other files say the version is. */
  readonly versions: Readonly<Record<string, string>>;
  /** The text of CHANGELOG.md. */
  readonly changelog: string;
  /** Whether package.json names a repository. */
  readonly repository: boolean;
  /** What `git status --porcelain` prints. */
  readonly changed: string;
}

/** One artifact on its way to its registry. */
export interface Publication {
  readonly title: string;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Programs without which the command cannot run. */
  readonly programs: readonly string[];
  /** Credentials that the command reads. */
  readonly variables: readonly string[];
}

/**
 * The publisher of jsii's own packages. It signs for Maven Central and attests for PyPI. What a registry has already it
 * leaves alone, so a release that stopped half way is run again.
 */
const PUBLIB = ['npx', '--yes', '--package', 'publib@0.2.1061'];
const IMAGE = 'ghcr.io/karin-queue/karin';

/** Each artifact with its signature. The tag and the release come last: they say that everything is there. */
export function publications(version: string): Publication[] {
  const image = `${IMAGE}:${version}`;
  return [
    {
      title: 'npm: karin-queue and karin-server, with provenance',
      command: [...PUBLIB, 'publib-npm', 'packages/js'],
      environment: { NPM_TRUSTED_PUBLISHER: '1', NPM_CONFIG_PROVENANCE: 'true', NPM_ACCESS_LEVEL: 'public' },
      programs: ['npm'],
      // The CI that runs this proves by its token where the packages were built.
      variables: ['ACTIONS_ID_TOKEN_REQUEST_URL'],
    },
    {
      title: 'PyPI: wheel and source distribution, with attestations',
      command: [...PUBLIB, 'publib-pypi', 'packages/python'],
      environment: { PYPI_TRUSTED_PUBLISHER: '1' },
      programs: ['python3'],
      variables: ['ACTIONS_ID_TOKEN_REQUEST_URL'],
    },
    {
      title: 'Maven Central: jar, sources, documentation, signed with GPG',
      command: [...PUBLIB, 'publib-maven', 'packages/java'],
      environment: { MAVEN_SERVER_ID: 'central-ossrh' },
      programs: ['mvn', 'gpg'],
      variables: ['MAVEN_USERNAME', 'MAVEN_PASSWORD', 'MAVEN_GPG_PRIVATE_KEY', 'MAVEN_GPG_PRIVATE_KEY_PASSPHRASE'],
    },
    {
      title: 'NuGet: package, signed by the gallery',
      command: [...PUBLIB, 'publib-nuget', 'packages/dotnet'],
      environment: {},
      programs: ['dotnet'],
      variables: ['NUGET_API_KEY'],
    },
    {
      title: 'Go: the module, pushed with its tag to its repository',
      command: [...PUBLIB, 'publib-golang', 'packages/go'],
      environment: {},
      programs: ['go', 'git'],
      variables: ['GITHUB_TOKEN'],
    },
    {
      title: `image: ${image}, with bill of materials and provenance`,
      command: [
        ...['docker', 'buildx', 'build', '--platform', 'linux/amd64,linux/arm64', '--sbom=true'],
        ...['--provenance=mode=max', '--push', '--tag', image, '--file', 'runtime/Dockerfile', '.'],
      ],
      environment: {},
      programs: ['docker'],
      variables: [],
    },
    {
      title: 'image: its signature',
      command: ['cosign', 'sign', '--yes', image],
      environment: {},
      programs: ['cosign'],
      variables: ['ACTIONS_ID_TOKEN_REQUEST_URL'],
    },
    {
      title: 'the tag, and a release with checksums and bills of materials',
      command: [
        ...['gh', 'release', 'create', `v${version}`, 'packages/SHA256SUMS'],
        ...['packages/sbom/karin-queue.cdx.json', 'packages/sbom/karin-server.cdx.json'],
      ],
      environment: {},
      programs: ['gh'],
      variables: ['GITHUB_TOKEN'],
    },
  ];
}

/** What is wrong at any time, release or not. */
export function contradictions({ version, versions, changelog }: Facts): string[] {
  const wrong: string[] = [];
  if (!/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version)) wrong.push(`package.json has the version '${version}'`);
  for (const [file, other] of Object.entries(versions))
    if (other !== version) wrong.push(`${file} says ${other || 'nothing'}, package.json says ${version}`);
  const pending = entriesUnder(changelog, 'Pending');
  if (pending === undefined) wrong.push('CHANGELOG.md has no section `## Pending`');
  if (pending === 0 && entriesUnder(changelog, version) === undefined)
    wrong.push(`CHANGELOG.md tells nothing of ${version}, neither in a section of its own nor under Pending`);
  return wrong;
}

/** What stands in the way of publishing now. */
export function openPoints(
  facts: Facts,
  plan: readonly Publication[],
  installed: (program: string) => boolean,
  environment: Readonly<Record<string, string | undefined>>,
): string[] {
  const open: string[] = [];
  if (facts.changed !== '') open.push('the work tree has changes that are not committed');
  if (!facts.repository) open.push('package.json names no repository, which npm and Maven Central demand');
  if (entriesUnder(facts.changelog, facts.version) === undefined)
    open.push(`CHANGELOG.md has no section \`## ${facts.version}\`: rename \`## Pending\` and begin an empty one`);
  else if ((entriesUnder(facts.changelog, 'Pending') ?? 0) > 0)
    open.push(`CHANGELOG.md has entries under Pending, which ${facts.version} would not tell of`);
  for (const program of new Set(plan.flatMap(({ programs }) => programs)))
    if (!installed(program)) open.push(`${program} is not installed`);
  for (const variable of new Set(plan.flatMap(({ variables }) => variables)))
    if ((environment[variable] ?? '') === '') open.push(`${variable} is not set`);
  return open;
}

/** How many entries a section of the changelog has; nothing if there is no such section. */
function entriesUnder(changelog: string, title: string): number | undefined {
  const section = changelog.split(/^## /m).find((part) => part.split(/[\s\]]/, 1)[0]?.replace('[', '') === title);
  return section === undefined ? undefined : (section.match(/^- /gm) ?? []).length;
}
