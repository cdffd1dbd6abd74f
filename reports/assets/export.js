// What is filtered, as a file.

/** A cell of CSV. A text that a spreadsheet would take for a formula begins with an apostrophe; numbers are as they are. */
const cell = (value) => {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  return `"${(/^[\s\u0000]*[=+\-@\t\r\n＝＋－＠]/.test(value) ? `'${value}` : value).replaceAll('"', '""')}"`;
};

const whole = (texts) => texts.map(([name, segments]) => (name ? `${name}: ` : "") + segments.map(([, text]) => text).join("")).join("\n");

const record = (samples, row, sample) => ({
  model: sample.model, task: sample.task, id: sample.id, answer: sample.answer, label: sample.target, prediction: sample.prediction,
  baseline: sample.baseline?.model ?? null, "baseline prediction": sample.baseline?.prediction ?? null,
  ...Object.fromEntries(["flip", "attack", "probe", "slice", "category", "group"].map((name) => [name, samples.answers(row, name).join("; ") || sample[name] || ""])),
  ...Object.fromEntries(Object.entries(samples.numbers).map(([name, column]) => [name in sample ? `score ${name}` : name, column[row]])),
  input: whole(sample.input.texts), output: sample.output, error: sample.error, reasoning: sample.reasoning,
  "tool calls": sample.calls.map(([name, text]) => `${name} ${text}`.trim()).join("\n"),
  judges: sample.opinions.map(([question, judge, says, why]) => `${judge}: ${question} ${says}${why ? ` (${why})` : ""}`).join("; "),
});

const FORMATS = {
  csv: { type: "text/csv", head: (names) => `${names.map(cell).join(",")}\r\n`, line: (found) => `${Object.values(found).map(cell).join(",")}\r\n` },
  jsonl: { type: "application/x-ndjson", head: () => "", line: (found) => `${JSON.stringify(found)}\n` },
};

/** Write rows as a file and have the browser save it. */
const save = async (samples, rows, format) => {
  const { type, head, line } = FORMATS[format];
  const parts = [];
  // In the order of the index, so that each chunk is inflated once; in the file, in the order of the list.
  const at = Int32Array.from(rows.keys()).sort((a, b) => rows[a] - rows[b]);
  for (const place of at) parts[place] = record(samples, rows[place], await samples.open(rows[place]));
  const text = parts.length ? [head(Object.keys(parts[0])), ...parts.map(line)] : [];
  const link = make("a", { href: URL.createObjectURL(new Blob(text, { type })), download: `samples.${format}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
};
