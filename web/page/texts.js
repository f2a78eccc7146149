"use strict";
// All that the page itself says; a translation replaces this file. What is said of files
// is windmp's.
const windmpTexts = {
  title: "Check a dump before you send it",
  promise: "The file is judged by your browser, where it lies. Nothing is uploaded: this page may not connect to anything.",
  choose: "Memory images and dumps of Windows, of any size",
  dropHint: "Choose files, or drop them here. What lies in two files, such as a .vmem with its .vmsn, is chosen together.",
  cancel: "Cancel",
  triage: "Make a small dump",
  saveJSON: "Save the JSON document",
  savePage: "Save this report",
  loading: "Starting …",
  reading: "Reading {name} …",
  readingMany: "Reading {count} files …",
  making: "Making a small dump of {name} …",
  verdict: "{name}: {verdict}",
  verdictMany: "{count} files: {verdict}",
  made: "The small dump is made: {size}.",
  cancelled: "Cancelled. Nothing was changed.",
  failed: "That did not work: {error}",
  unsupported: "This browser has no WebAssembly, or may not use it here.",
};
