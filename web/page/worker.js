"use strict";
// Runs windmp in a worker. It stands behind Go's wasm_exec.js in one script (scripts/web),
// and gets a compiled module first, then jobs: {id, op, files, options}.
onmessage = async (event) => {
  const job = event.data;
  try {
    if (job.module) {
      const go = new Go();
      go.run(await WebAssembly.instantiate(job.module, go.importObject));
      postMessage({ ready: true, version: windmp.version });
      return;
    }
    const progress = (stage, done, total) => postMessage({ id: job.id, progress: { stage, done, total } });
    const result = windmp[job.op](job.files, job.options ?? {}, progress);
    if (result === undefined) { // windmp itself broke, or had no more memory
      postMessage({ id: job.id, ended: true });
      return;
    }
    postMessage({ id: job.id, result }, result.dump ? [result.dump.buffer] : []);
  } catch (e) {
    postMessage({ id: job.id, result: { error: String(e?.message ?? e) } });
  }
};
