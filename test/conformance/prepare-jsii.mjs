// Lays out the constructs as a jsii module: the sources of the public API, without the cdktf construct, and a manifest
// as jsii wants it.
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const [, , root, target] = process.argv;
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const floors = JSON.parse(readFileSync(new URL('./package.json', import.meta.url), 'utf8')).devDependencies;
const pick = (versions, names) => Object.fromEntries(names.map((name) => [name, versions[name]]));

cpSync(join(root, 'constructs'), join(target, 'constructs'), {
  recursive: true,
  filter: (path) => !['terraform', 'tsconfig.json'].includes(basename(path)),
});
cpSync(join(root, 'constructs', 'README.md'), join(target, 'README.md'));
symlinkSync(join(import.meta.dirname, 'node_modules'), join(target, 'node_modules'));
writeFileSync(
  join(target, 'package.json'),
  JSON.stringify({
    ...pick(manifest, ['name', 'version', 'description', 'license', 'author']),
    // jsii insists on one; nothing is published from here.
    repository: manifest.repository ?? { type: 'git', url: 'https://example.com/karin-queue.git' },
    main: 'lib/index.js',
    types: 'lib/index.d.ts',
    stability: 'experimental',
    peerDependencies: pick(manifest.peerDependencies, ['aws-cdk-lib', 'constructs']),
    devDependencies: pick(floors, ['aws-cdk-lib', 'constructs', '@types/node']),
    jsii: { outdir: 'dist', tsc: { rootDir: 'constructs', outDir: 'lib' }, targets: {} },
  }),
);
