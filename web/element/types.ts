import type { WindmpCheckV1 } from "./document.js";

/** CheckDocument is what `windmp check --json` prints, windmp/check/v1. */
export type CheckDocument = WindmpCheckV1;

/** Verdict is what windmp says of a file; of several the worst. */
export type Verdict = "OK" | "WARN" | "UNKNOWN" | "FAIL";

/** Decision is what comes of it: a warning costs the reader something, but not the dump,
 * and what windmp does not know is for a person. */
export type Decision = "accept" | "ask" | "reject";

/** Kind is core for a file that windmp converts, dump for one that a debugger opens, and
 * empty for neither. */
export type Kind = "core" | "dump" | "";

/** Progress is how far a job is: bytes, or what a stage counts. `total` is 0 where it is
 * not known. */
export interface Progress {
  stage: string;
  done: number;
  total: number;
}

/** Failure is why there is no answer: a sentence and what can be done, as the command
 * says them. */
export interface Failure {
  message: string;
  hint: string;
}

/** FileVerdict is what is said of one of the files that were chosen. */
export interface FileVerdict {
  name: string;
  verdict: Verdict;
  /** reason is why it is not OK, empty if it is. */
  reason: string;
  kind: Kind;
  /** signature is by what equal crashes are known; empty where there was none. */
  signature: string;
  /** converts says that a small dump can be made of it, small that it is one. */
  converts: boolean;
  small: boolean;
}

/** VerdictDetail comes with the event `verdict`. */
export interface VerdictDetail {
  verdict: Verdict;
  decision: Decision;
  /** reason is why it is not accepted; empty if it is. */
  reason: string;
  files: FileVerdict[];
  /** document is windmp/check/v1; json is the same as text, as the command prints it. */
  document: CheckDocument;
  json: string;
}

/** SmallDump is a small dump, and the document of the conversion that made it. Of a file
 * that is a small dump already, it is that file and no document. */
export interface SmallDump {
  /** source is the name of the file that was chosen. */
  source: string;
  dump: File;
  /** json is windmp/convert/v1, empty for none. */
  json: string;
}

/** TriageDetail comes with the event `triage`. */
export interface TriageDetail {
  dumps: SmallDump[];
}

/** Job is what windmp is asked for. */
export type Job = "check" | "triage";

/** StartDetail comes with the event `start`. */
export interface StartDetail {
  during: Job;
}

/** FailedDetail comes with the event `failed`. */
export interface FailedDetail extends Failure {
  during: Job;
}

/** CheckEvents are the events of the elements, by name, with their details. */
export interface CheckEvents {
  start: StartDetail;
  verdict: VerdictDetail;
  triage: TriageDetail;
  progress: Progress;
  failed: FailedDetail;
  cancel: null;
}

/** CheckEventMap are the events that the elements have, their own and those of others. */
export type CheckEventMap = Omit<HTMLElementEventMap, keyof CheckEvents> & { [Name in keyof CheckEvents]: CustomEvent<CheckEvents[Name]> };

/** Reply is what windmp answers in the worker: its report as HTML, to be shown in a page
 * and to be saved as one, and its document. */
interface Reply {
  error?: string;
  hint?: string;
  html?: string;
  page?: string;
  json?: string;
}

/** CheckReply is the answer to a check. */
export interface CheckReply extends Reply {
  verdict: Verdict;
  files: FileVerdict[];
}

/** TriageReply is the answer to the wish for a small dump. */
export interface TriageReply extends Reply {
  dump?: Uint8Array<ArrayBuffer>;
}
