// The selected sample, drawn with drawing.js.

const OUTCOMES = { right: "✓", wrong: "✗", failed: "!", "not judged": "·" };

const outcome = (answer) => ({ kind: answer.replace(" ", "-"), glyph: OUTCOMES[answer] ?? "·" });

// Show short predictions side by side; a long first text is already shown above.
const answerPair = (before, after) => {
  if (after === null) return [];
  return before.length + after.length <= 80 ? [["prediction", `${before} → ${after}`]] : [["answer", after]];
};

const twinBlock = (sample, twin) => {
  const [said, kind] = twin.failed ? ["the attack failed", "none"] : twin.success === null ? ["not attacked", "none"]
    : twin.success ? ["flipped the prediction", "fail"] : ["survived", "pass"];
  const [before, after] = [sample.input.image, twin.input?.image];
  const images = before && after ? [picture(before, "Before the attack"), picture(after, "After the attack")] : null;
  return make("section", { class: "twin" },
    make("h5", {}, twin.attack, " ", make("span", { class: `badge badge-${kind}` }, said)),
    twin.note ? make("p", { class: "muted" }, twin.note) : null,
    ...(twin.input?.texts ?? []).map(passage).flat(),
    images ? make("div", { class: "side-by-side" }, figure("before", images[0]), figure("after", images[1]),
      isWhole(before) && isWhole(after) ? difference(...images) : null) : null,
    twin.input?.note ? make("p", { class: "muted" }, twin.input.note) : null,
    pairs([...answerPair(sample.prediction ?? "none", twin.prediction), ...twin.facts], "inline"));
};

const opinions = (sample) => block("Judges", make("ul", { class: "opinions" }, sample.opinions.map(([question, judge, says, why]) =>
  make("li", {}, make("strong", {}, judge), " ", question ? `${question}: ` : "", says, why ? make("span", { class: "why" }, why) : null))));

const calls = (sample) => block("Tool calls", make("dl", { class: "calls" }, sample.calls.map(([name, text]) =>
  make("div", {}, make("dt", {}, name ? make("code", {}, name) : "unnamed"), make("dd", { class: "text", dir: "auto" }, text)))));

const reasoning = (sample) => make("details", { class: "reasoning" }, make("summary", {}, "Reasoning before the answer"),
  make("p", { class: "text", dir: "auto" }, sample.reasoning));

const isLong = (text) => text !== null && (text.length > 80 || text.includes("\n"));

/** What a model answered, in a few words; `title` makes their names. */
const inShort = ({ prediction, answer }, asText, title) => {
  const { kind, glyph } = outcome(answer);
  const judged = [title("judged"), make("span", { class: `outcome ${kind}` }, `${glyph} ${answer}`)];
  return asText ? [judged] : [[title("prediction"), prediction ?? "none"], judged];
};

/** What a model answered, as passages: all that it generated, and a long prediction. */
const asPassages = ({ prediction, output }, asText, title) => {
  const passages = [[output, "Answer"], [asText ? prediction : null, output === null ? "Answer" : "Read out of it"]];
  return passages.filter(([text]) => text !== null).map(([text, name]) => block(title(name), make("p", { class: "text", dir: "auto" }, text)));
};

/** The parts of a sample's page. Long answers stand as passages, short ones beside the label; the baseline's beside the model's. */
const sampleParts = (sample, address) => {
  const { baseline } = sample;
  const asText = isLong(sample.prediction) || (baseline !== null && isLong(baseline.prediction));
  // A written text that answers are compared with, rather than the name of a class.
  const isReference = asText && isLong(sample.target);
  const ofBaseline = (name) => [name, " · ", make("bdi", {}, baseline.model)];
  // A baseline file keeps no outputs.
  const isUnknown = baseline !== null && baseline.prediction === null && baseline.answer !== "failed";
  const both = (say) => [say(sample, asText, (name) => [name]), baseline === null ? [] : say(baseline, asText || isUnknown, ofBaseline)];
  const [own, baselines] = both(inShort);
  const passages = both(asPassages);
  const given = ["category", "slice", "group"].filter((name) => sample[name]).map((name) => [name, sample[name]]);
  missing = false;
  const parts = [
    make("header", {},
      make("h3", { tabindex: "-1" }, sample.id),
      make("p", { class: "muted" }, make("bdi", {}, sample.task), " · ", make("bdi", {}, sample.model), " · ", make("a", { href: address }, "link to this sample"))),
    sample.error !== null ? make("p", { class: "error" }, sample.error) : null,
    pairs([...(isReference ? [] : [["label", sample.target ?? "none"]]), ...own, ...given], "answers"),
    baselines.length ? pairs(baselines, "answers") : null,
    block(passages.flat().length ? "Prompt" : "Input", ...shown(sample.input)),
    isReference ? block("Reference", make("p", { class: "text", dir: "auto" }, sample.target)) : null,
    passages.flat().length ? make("div", { class: "beside" }, passages.map((each) => make("div", {}, each))) : null,
    sample.refused ? make("p", { class: "notice" }, "The provider of the endpoint refused to answer. The answer is what it said instead.") : null,
    sample.calls.length ? calls(sample) : null,
    sample.reasoning ? reasoning(sample) : null,
    sample.note ? make("p", { class: "muted" }, sample.note) : null,
    sample.opinions.length ? opinions(sample) : null,
    sample.probabilities.length ? bars(sample) : null,
    sample.scores.length ? block("Scores", pairs(sample.scores, "inline")) : null,
    sample.twins.length ? block("Under attack", ...sample.twins.map((twin) => twinBlock(sample, twin))) : null,
    sample.heats.length ? block("Attribution", legend(), ...heatTabs(sample)) : null,
  ];
  if (missing) parts.push(make("p", { class: "muted" }, "Pictures are reduced, and sounds left out, where all of them would make the page too large."));
  return parts.filter((part) => part !== null);
};
