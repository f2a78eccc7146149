import { type Key, text } from "./texts.js";
import type { CheckDocument, CheckReply, Decision, FileVerdict, Verdict, VerdictDetail } from "./types.js";

const decisions: Record<Verdict, Decision> = { OK: "accept", WARN: "accept", UNKNOWN: "ask", FAIL: "reject" };
const severities: Decision[] = ["accept", "ask", "reject"];

/** kindsOf reads the attribute `accept`: a list of kinds, all of them if it names none. */
export function kindsOf(accept: string | null): string[] {
  const kinds = (accept ?? "").split(/[\s,]+/).filter(Boolean);
  return kinds.length > 0 ? kinds : ["core", "dump"];
}

/** decide makes a verdict of the worker's answer. */
export function decide(reply: CheckReply, accept: string | null): VerdictDetail {
  const kinds = kindsOf(accept);
  let decision: Decision = "accept";
  let reason = "";
  for (const file of reply.files) {
    const [d, why] = decideFile(file, kinds);
    if (severities.indexOf(d) > severities.indexOf(decision)) {
      decision = d;
      reason = why;
    }
  }
  const json = reply.json ?? "";
  return { verdict: reply.verdict, decision, reason, files: reply.files, document: JSON.parse(json) as CheckDocument, json };
}

function decideFile(file: FileVerdict, kinds: string[]): [Decision, string] {
  const decision = decisions[file.verdict] ?? "ask"; // which a later windmp may have
  if (decision !== "reject" && file.kind !== "" && !kinds.includes(file.kind)) {
    const taken = kinds.map((k) => (k === "core" || k === "dump" ? text(k as Key) : k)).join(", ");
    return ["reject", text("kindRefused", { name: file.name, kinds: taken })];
  }
  return [decision, file.reason];
}

/** makesDumps says whether there is a small dump to be made, or one already. */
export function makesDumps(v: VerdictDetail): boolean {
  return v.files.some((f) => f.converts || f.small);
}
