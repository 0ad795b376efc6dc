/**
 * Where the code of a function or a layer lies on this machine, for each way in which a template may say it.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { type CodeLocation, isObject, type JsonObject, objectOr, type Resource, scalarText, textOr } from './model.ts';
import type { StackScope } from './stack-scope.ts';

/** Where `sam build` puts what it makes, below the folder of the template. */
const SAM_BUILD = join('.aws-sam', 'build');

/** Where the code in the property `Code` (a layer: `Content`) of `resource` is. */
export function codeLocation(
  logicalId: string,
  resource: Resource,
  property: 'Code' | 'Content',
  scope: StackScope,
): CodeLocation {
  const { source } = scope;
  const { metadata } = resource;
  const asset = textOr(metadata['aws:asset:path'], undefined);
  const assetProperty = textOr(metadata['aws:asset:property'], property);
  if (asset !== undefined && assetProperty === 'Code.ImageUri') return imageOfCdk(asset, metadata, source.folder);
  if (asset !== undefined && assetProperty.startsWith(property)) return atPath(asset, source.folder);
  const resolved = scope.resolve(resource.properties[property]);
  if (!resolved.known) return { kind: 'absent', reason: `its ${property} cannot be resolved: ${resolved.reason}` };
  const code = resolved.value;
  if (typeof code === 'string') {
    const place = atPath(code, source.folder);
    const built = join(source.folder, SAM_BUILD, logicalId);
    return place.kind === 'folder' && existsSync(built) ? { ...place, packaged: built } : place;
  }
  if (!isObject(code)) return { kind: 'absent', reason: `it has no ${property}` };
  const inline = textOr(code['ZipFile'], undefined);
  if (inline !== undefined) return { kind: 'inline', text: inline };
  const key = textOr(code['S3Key'], undefined);
  if (key === undefined) return imageOf(code['ImageUri'], metadata, source.folder);
  const staged = source.assets.get(key);
  if (staged !== undefined) return atPath(staged, source.folder);
  // The Serverless Framework packs its folder: a package of the same name lies beside the template, or where another
  // tool of the app puts it.
  const packaged =
    [key, basename(key)].map((name) => join(source.folder, name)).find(existsSync) ?? join(source.folder, key);
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

/** An image that the CDK would build and push. */
function imageOfCdk(path: string, metadata: JsonObject, folder: string): CodeLocation {
  const target = textOr(metadata['aws:asset:docker-build-target'], undefined);
  return {
    kind: 'image',
    from: {
      context: resolve(folder, path),
      dockerfile: textOr(metadata['aws:asset:dockerfile-path'], 'Dockerfile'),
      args: textsIn(metadata['aws:asset:docker-build-args']),
      ...(target === undefined ? {} : { target }),
    },
  };
}

/** An image of a registry, or one that `sam build` would build as the metadata of the function say. */
function imageOf(uri: unknown, metadata: JsonObject, folder: string): CodeLocation {
  const dockerfile = textOr(metadata['Dockerfile'], undefined);
  if (dockerfile !== undefined) {
    const target = textOr(metadata['DockerBuildTarget'], undefined);
    return {
      kind: 'image',
      from: {
        context: resolve(folder, textOr(metadata['DockerContext'], '.')),
        dockerfile,
        args: textsIn(metadata['DockerBuildArgs']),
        ...(target === undefined ? {} : { target }),
      },
    };
  }
  const name = textOr(uri, undefined);
  if (name !== undefined) return { kind: 'image', from: name };
  return { kind: 'absent', reason: 'its code is a container image, and neither its name nor its Dockerfile is stated' };
}

function textsIn(value: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(objectOr(value)).map(([key, text]) => [key, scalarText(text) ?? '']));
}
