// What scripts/web builds: windmp as WebAssembly, packed by gzip, and the script that runs
// it in a worker, behind Go's own.
export { default as packed } from "windmp-module";
export { default as worker } from "windmp-worker";
