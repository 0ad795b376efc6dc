/**
 * Gives ES modules what `NODE_PATH` gives CommonJS: packages that AWS's runtime or a layer provides, where the code
 * itself has none; and files of layers by the path that they have in Lambda.
 *
 * @module
 */

let parents = [];
/** Folders of layers, as URLs with a slash at the end, the one that wins first. */
let opt = [];

export function initialize(data) {
  parents = data.parents;
  opt = data.opt;
}

export async function resolve(specifier, context, nextResolve) {
  try {
    return await nextResolve(specifier, context);
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    const [, inOpt] = /^(?:file:\/\/)?\/opt\/(.*)$/.exec(specifier) ?? [];
    if (inOpt === undefined && /^[./]|^[a-z]+:/.test(specifier)) throw error;
    for (const layer of inOpt === undefined ? [] : opt) {
      try {
        return await nextResolve(layer + inOpt, context);
      } catch (missing) {
        if (missing.code !== 'ERR_MODULE_NOT_FOUND') throw missing;
      }
    }
    for (const parentURL of parents) {
      try {
        return await nextResolve(specifier, { ...context, parentURL });
      } catch (missing) {
        if (missing.code !== 'ERR_MODULE_NOT_FOUND') throw missing;
      }
    }
    throw error;
  }
}
