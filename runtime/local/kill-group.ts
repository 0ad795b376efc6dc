/**
 * Ends a process that leads a process group, with everything that it started. On Windows, which has no such groups, the process alone.
 *
 * @module
 */

/** Does nothing without an id (the process never started) and where nothing is left to end. */
export function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, 'SIGKILL');
  } catch (error) {
    // Nothing is left to end (ESRCH), or nothing that is not ending already (EPERM, as macOS says it).
    if (!(error instanceof Error && 'code' in error && (error.code === 'ESRCH' || error.code === 'EPERM'))) throw error;
  }
}
