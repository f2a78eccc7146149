// How a program of somebody else's uses the package: it must compile, with the types that
// are in the package.
import { type CheckDocument, type Decision, type SmallDump, texts, translate, WindmpCheck, WindmpCheckFrame } from "windmp-check";

translate({ choose: "Dateien" });
console.log(texts.choose);

const element = document.createElement("windmp-check");
element.addEventListener("verdict", (e) => {
  const decision: Decision = e.detail.decision;
  const document: CheckDocument = e.detail.document;
  console.log(decision, document.schema satisfies "windmp/check/v1", document.files?.[0]?.findings[0]?.id);
});
element.addEventListener("triage", ({ detail }) => detail.dumps.forEach((d: SmallDump) => console.log(d.dump.size)));
element.addEventListener("click", (e) => console.log(e.clientX));
// @ts-expect-error: there is no such event
element.addEventListener("verdict", (e: CustomEvent<number>) => console.log(e.detail));

export const found: WindmpCheck | null = document.querySelector("windmp-check");
export const framed: WindmpCheckFrame | null = document.querySelector("windmp-check-frame");
