/**
 * Loaded before each file of tests: more than ten listeners at one event or signal are a leak until they are explained
 * (`setMaxListeners`), and fail the file that has them. Node only prints a warning, which nobody reads.
 */
process.on('warning', (warning) => {
  if (warning.name !== 'MaxListenersExceededWarning') return;
  // Its text alone: the warning holds the object with the listeners, and a report of it would print that.
  throw new Error(warning.stack ?? warning.message);
});
