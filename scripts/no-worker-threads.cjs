// Takes the place of worker_threads and thread-stream in the bundle. pino asks for them although pointsman has no threads and
// gives pino no transport; both together take memory in each process.
module.exports = { isMainThread: true };
