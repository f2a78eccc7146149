// What esbuild puts in from files that are no scripts (scripts/web).
declare module "windmp-module" {
  const bytes: Uint8Array<ArrayBuffer>;
  export default bytes;
}
declare module "windmp-worker" {
  const script: string;
  export default script;
}
declare module "windmp-filters" {
  /** windmpFilters makes the filters of a report work. */
  export function windmpFilters(root: ParentNode): void;
}
declare module "*.css" {
  const style: string;
  export default style;
}
