// Run inside an app fresh from `cdk init`: brings its commented-out example and test to life, with KarinQueue in place
// of sqs.Queue.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const edit = (path, change) => {
  const before = readFileSync(path, 'utf8');
  const after = change(before);
  if (after === before) throw new Error(`${path} is not what cdk init used to generate: nothing to change in it`);
  writeFileSync(path, after);
};
const only = (directory) => {
  const [file, ...others] = readdirSync(directory).filter((name) => name.endsWith('.ts'));
  if (file === undefined || others.length > 0)
    throw new Error(`cdk init generated ${others.length + 1} files in ${directory}`);
  return join(directory, file);
};

edit(only('lib'), (text) =>
  text
    .replace("// import * as sqs from 'aws-cdk-lib/aws-sqs';", "import { KarinQueue } from 'karin-queue';")
    .replace('// const queue = new sqs.Queue(', 'new KarinQueue(')
    .replace('//   visibilityTimeout', '  visibilityTimeout')
    .replace('// });', '});'),
);
edit(only('test'), (text) => text.replace(/^\/\/ (?!example test|example resource)(?=import| {2})/gm, ''));
edit('cdk.json', (text) => {
  const config = JSON.parse(text);
  config.context['karin:endpoint'] = 'https://karin.example.com';
  return JSON.stringify(config, undefined, 2);
});
// The generated test makes an app of its own, which does not read cdk.json.
edit(only('test'), (text) =>
  text.replace('new cdk.App()', "new cdk.App({ context: { 'karin:endpoint': 'https://karin.example.com' } })"),
);
