/**
 * Where the code of a function lies on this machine, for each way in which a template may say it.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { CodeLocation, Resource } from './model.ts';
import type { StackScope } from './stack-scope.ts';
import { isObject, textOr } from './values.ts';

/** Where the code in the property `Code` (a layer: `Content`) of `resource` is. */
export function codeLocation(resource: Resource, property: 'Code' | 'Content', scope: StackScope): CodeLocation {
  const { source } = scope;
  const asset = textOr(resource.metadata['aws:asset:path'], undefined);
  if (asset !== undefined && textOr(resource.metadata['aws:asset:property'], property).startsWith(property)) {
    return atPath(asset, source.folder);
  }
  const resolved = scope.resolve(resource.properties[property]);
  if (!resolved.known) return { kind: 'absent', reason: `its ${property} cannot be resolved: ${resolved.reason}` };
  const code = resolved.value;
  if (typeof code === 'string') return atPath(code, source.folder);
  if (!isObject(code)) return { kind: 'absent', reason: `it has no ${property}` };
  const inline = textOr(code['ZipFile'], undefined);
  if (inline !== undefined) return { kind: 'inline', text: inline };
  const key = textOr(code['S3Key'], undefined);
  if (key === undefined) return { kind: 'absent', reason: 'its code is a container image' };
  const staged = source.assets.get(key);
  if (staged !== undefined) return atPath(staged, source.folder);
  // The Serverless Framework packs its folder; a package of the same name lies beside the template.
  const packaged = join(source.folder, basename(key));
  if (source.sourceFolder !== undefined) {
    const beside = existsSync(packaged) ? { packaged } : {};
    return { kind: 'folder', path: source.sourceFolder, ...beside };
  }
  if (existsSync(packaged)) return atPath(packaged, source.folder);
  return { kind: 'absent', reason: `its code is the S3 object ${key}, which is not on this machine` };
}

function atPath(path: string, folder: string): CodeLocation {
  if (/^(s3|https?):\/\//.test(path))
    return { kind: 'absent', reason: `its code is ${path}, which is not on this machine` };
  const absolute = resolve(folder, path);
  if (!existsSync(absolute)) return { kind: 'absent', reason: `its code should be at ${absolute}, where nothing is` };
  return { kind: /\.(zip|jar)$/.test(absolute) ? 'zip' : 'folder', path: absolute };
}
