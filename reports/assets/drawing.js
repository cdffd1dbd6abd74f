// What the sample explorer draws with. Sample text reaches the page only as text nodes and attribute values made here, never as markup.

const SVG = "http://www.w3.org/2000/svg";

// ── making elements ──────────────────────────────────────────────────────────────────────────────────────────────

/** An element with attributes (null and false leave one out) and children; strings become text nodes. */
const make = (tag, attributes = {}, ...children) => {
  const element = tag === "svg" || tag === "rect" ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null));
  return element;
};

const block = (title, ...children) => make("section", {}, make("h4", {}, title), ...children);

const pairs = (entries, kind) =>
  make("dl", { class: kind }, entries.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));

// ── text, images, bars ───────────────────────────────────────────────────────────────────────────────────────────

/** One segment: kept text, a deletion, an insertion, or a piece of an attribution. */
const piece = ([mark, text, value]) => {
  if (mark === "=") return text;
  if (mark === "-") return make("del", {}, text);
  if (mark === "+") return make("ins", {}, text);
  const sign = mark > 0 ? "positive" : mark < 0 ? "negative" : "neutral";
  const title = `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value)}`;
  return make("span", { class: `heat ${sign} level-${Math.abs(mark)}`, title }, text);
};

const passage = ([name, segments, image]) => [
  name ? make("p", { class: "part" }, name) : null,
  image ? picture(image, name || "An image of the input") : make("p", { class: "text", dir: "auto" }, segments.map(piece)),
];

/** Whether a picture or a sound was drawn that the page does not hold as a whole. */
let missing = false;

/** The data of a picture or a sound: in place, or of a large one the thumbnail and, if the page holds it, the whole. */
const isWhole = (media) => typeof media === "string" || media.uri !== undefined;
const source = (media) => {
  missing ||= !isWhole(media);
  return typeof media === "string" ? media : media.uri ?? media.small;
};

/** An image large enough to look at: small ones keep their pixels. */
const picture = (media, alt) => {
  const image = make("img", { src: source(media), alt, class: "picture" });
  image.addEventListener("load", () => image.classList.toggle("pixels", image.naturalWidth < 200));
  return image;
};

const figure = (caption, ...children) => make("figure", {}, make("div", { class: "stack" }, ...children), make("figcaption", {}, caption));

const player = (media) => {
  const sound = source(media);
  return sound ? make("audio", { controls: true, src: sound }) : null;
};

/** A conversation: each turn under its role. */
const chat = (turns) => make("ol", { class: "chat" }, turns.map(([role, segments, image]) =>
  make("li", { class: /^(assistant|model)/.test(role) ? "own" : null }, passage([role, segments, image]))));

const shown = (input) => [
  ...(input.kind === "chat" ? [chat(input.texts)] : input.texts.map(passage)),
  input.image ? figure(input.kind, picture(input.image, "The input image")) : null,
  input.audio ? player(input.audio) : null,
  input.texts.length || input.image || input.audio ? null : make("p", { class: "muted" }, `This ${input.kind} input cannot be shown on a page.`),
  input.note ? make("p", { class: "muted" }, input.note) : null,
].flat();

/** What was added to an image, stretched so that the largest change is black or white; grey is no change. */
const difference = (before, after) => {
  const canvas = make("canvas", { class: "picture pixels", role: "img", "aria-label": "Where the two images differ" });
  const caption = make("span", {}, "difference");
  const pixels = (image) => {
    const { naturalWidth: width, naturalHeight: height } = image;
    const context = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, width, height);
  };
  const draw = () => {
    const [a, b] = [pixels(before), pixels(after)];
    if (a.data.length !== b.data.length) return void (caption.textContent = "difference: not the same size");
    let most = 0;
    for (let i = 0; i < a.data.length; i += 1) if (i % 4 !== 3) most = Math.max(most, Math.abs(a.data[i] - b.data[i]));
    const gain = most ? 127 / most : 1;
    for (let i = 0; i < a.data.length; i += 1) b.data[i] = i % 4 === 3 ? 255 : 128 + (b.data[i] - a.data[i]) * gain;
    Object.assign(canvas, { width: b.width, height: b.height }).getContext("2d").putImageData(b, 0, 0);
    caption.textContent = most ? `difference, ${gain.toFixed(1)}× (at most ${most} of 255)` : "no visible difference";
  };
  Promise.all([before.decode(), after.decode()]).then(draw, () => (caption.textContent = "difference: an image cannot be read"));
  return figure(caption, canvas);
};

const bars = (sample) => {
  const rows = sample.probabilities.map(([label, share]) => {
    const role = [label === sample.prediction ? "predicted" : null, label === sample.target ? "target" : null].filter(Boolean).join(", ");
    const bar = make("svg", { class: "bar", "aria-hidden": "true" });
    bar.append(make("rect", { class: "track", width: "100%", height: "100%" }), make("rect", { class: "fill", width: `${100 * share}%`, height: "100%" }));
    return make("tr", {}, make("th", { scope: "row" }, label, role ? make("span", { class: "why" }, role) : ""), make("td", {}, bar), make("td", { class: "number" }, share > 0 && share < 0.0005 ? "<0.001" : share.toFixed(3)));
  });
  const more = sample.more_probabilities ? make("p", { class: "muted" }, `and ${sample.more_probabilities} more`) : null;
  return block("Probabilities", make("table", { class: "bars" }, make("caption", { class: "hidden" }, "Probabilities, likeliest first"), make("tbody", {}, rows)), more);
};

// ── attributions ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** How opaque all overlays are, in per cent: what is set for one sample holds for the next. */
let opacity = 70;

/** Values in [-1, 1] from the signed bytes that the page holds. */
const decoded = (cells) => Array.from(Int8Array.from(atob(cells), (byte) => byte.charCodeAt(0)), (byte) => byte / 127);

/** An attribution over the image: blue speaks for the class, hatched orange against it. */
const overlay = (image, { rows, columns, cells }) => {
  const values = decoded(cells);
  const cell = Math.max(1, Math.floor(448 / Math.max(rows, columns)));
  const canvas = make("canvas", { class: "overlay", width: columns * cell, height: rows * cell, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const colours = { 1: style.getPropertyValue("--positive"), "-1": style.getPropertyValue("--negative") };
  values.forEach((value, index) => {
    if (!value) return;
    const [x, y] = [(index % columns) * cell, Math.floor(index / columns) * cell];
    context.globalAlpha = Math.abs(value);
    context.fillStyle = colours[Math.sign(value)];
    context.fillRect(x, y, cell, cell);
    if (value > 0 || cell < 8) return;
    // Dark, for on the strongest cells a line of their own colour is not seen.
    context.globalAlpha = 0.1 - 0.7 * value;
    context.strokeStyle = "#000";
    context.lineWidth = Math.max(2, cell / 16);
    context.beginPath();
    context.moveTo(x, y + cell);
    context.lineTo(x + cell, y);
    context.stroke();
  });
  canvas.style.opacity = opacity / 100;
  return make("div", { class: "stack" }, image ? picture(image, "The input image under its attribution") : null, canvas);
};

/** A slider for all maps of the sample; each tab has one, and they move together. */
const fader = () => {
  const slider = make("input", { type: "range", min: 0, max: 100, value: opacity });
  const said = make("output", {}, `${opacity} %`);
  slider.addEventListener("input", () => {
    opacity = Number(slider.value);
    for (const canvas of detail.querySelectorAll(".overlay")) canvas.style.opacity = opacity / 100;
    for (const other of detail.querySelectorAll(".fade input")) other.value = opacity;
    for (const other of detail.querySelectorAll(".fade output")) other.textContent = `${opacity} %`;
  });
  return make("label", { class: "fade" }, "overlay", slider, said);
};

const named = (title, target) => make("h5", { class: "subtitle" }, title, " ", make("span", { class: "muted" }, "for ", make("bdi", {}, target)));

const map = (heat, image) =>
  heat.grid ? overlay(image, heat.grid)
  : heat.segments ? make("p", { class: "text", dir: "auto" }, heat.segments.map(piece))
  : make("p", { class: "muted" }, "This attribution does not fit the input, so it is not drawn.");

/** What each word of an answer rests on: the words are buttons, and the one that is pressed is explained by all that stands before it. */
const wordByWord = ({ prompt, answer, num, rows }) => {
  const values = rows.map(decoded);
  const drawn = make("p", { class: "text", dir: "auto" });
  const show = (asked) => {
    const heat = ([place, text]) => (place < 0 ? text : piece([Math.round(values[asked][place] * 9), text, Math.round(values[asked][place] * 100) / 100]));
    const before = answer.slice(0, answer.findIndex(([place]) => place === num + asked));
    drawn.replaceChildren(...prompt.map(heat), make("span", { class: "arrow", "aria-hidden": "true" }, " → "), ...before.map(heat));
    for (const [word, button] of buttons) button.setAttribute("aria-pressed", String(word === asked));
  };
  const buttons = answer.filter(([place]) => place >= 0).map(([place, text]) => {
    const button = make("button", { type: "button" }, text);
    button.addEventListener("click", () => show(place - num));
    return [place - num, button];
  });
  if (!buttons.length) return null;
  show(0);
  const words = make("div", { class: "words", role: "group", "aria-label": "Words of the answer" }, buttons.map(([, button]) => button));
  return make("div", { class: "each-word" }, make("h5", { class: "subtitle" }, "word by word"), words, drawn);
};

/** A name that may be broken after its underscores. */
const breakable = (name) => name.split(/(?<=_)/).flatMap((part) => [part, make("wbr")]);

const scoreTable = (scores) => {
  const heads = ["score", "value", "random order", "random weights"];
  const shown = heads.map((_, i) => i < 2 || scores.some((cells) => cells[i] !== "–"));
  const row = (cells, cell) => make("tr", {}, cells.map(cell).filter((_, i) => shown[i]));
  const head = row(heads, (name, i) => make("th", { scope: "col", class: i ? "number" : null }, name));
  const body = scores.map((cells) => row(cells, (cell, i) => (i ? make("td", { class: "number" }, cell) : make("th", { scope: "row" }, breakable(cell)))));
  return make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Scores" }, make("table", { class: "scores" }, make("thead", {}, head), make("tbody", {}, body)));
};

/** What one probe found: the sample's map, beside it those of its twins, and how good they are. */
const heatPanel = (sample, heat) => {
  if (heat.error !== null) return [make("p", { class: "error" }, heat.error)];
  const twinImage = (name) => sample.twins.find((twin) => twin.attack === name)?.input?.image;
  const own = make("div", { class: "map" }, named("as it is", heat.target), map(heat, heat.image || sample.input.image));
  const moved = heat.twins.map((twin) => make("div", { class: "map" }, named(`after ${twin.attack}`, twin.target), map(twin, twin.image || twinImage(twin.attack))));
  const shifts = heat.twins.filter((twin) => twin.scores.length);
  return [
    make("div", { class: "maps" }, own, moved),
    heat.grid ? fader() : null,
    heat.words ? wordByWord(heat.words) : null,
    heat.scores.length ? scoreTable(heat.scores) : null,
    ...shifts.map((twin) => make("div", {}, make("h5", { class: "subtitle" }, `how far ${twin.attack} moved it`), scoreTable(twin.scores))),
  ].filter((part) => part !== null);
};

/** The probe whose tab was last chosen: another sample opens at the same one. */
let chosen = null;

/** A tab a probe, by the arrow keys too. On paper all panels are shown, each under its name. */
const heatTabs = (sample) => {
  const names = sample.heats.map((heat) => heat.probe);
  const panels = sample.heats.map((heat, i) => make("section",
    { class: "attribution", role: "tabpanel", id: `panel-${i}`, "aria-labelledby": `tab-${i}`, tabindex: "0" },
    make("h5", { class: "paper" }, heat.probe), ...heatPanel(sample, heat)));
  const tabs = names.map((name, i) => make("button", { type: "button", role: "tab", id: `tab-${i}`, "aria-controls": `panel-${i}` }, name));
  const show = (place) => {
    tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === place));
      tab.setAttribute("tabindex", i === place ? "0" : "-1");
      panels[i].classList.toggle("closed", i !== place);
    });
  };
  const choose = (place) => {
    chosen = names[place];
    show(place);
    tabs[place].focus();
  };
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => choose(i));
    tab.addEventListener("keydown", (event) => {
      const place = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: tabs.length - 1 }[event.key];
      if (place === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      choose((place + tabs.length) % tabs.length);
    });
  });
  show(Math.max(0, names.indexOf(chosen)));
  return [make("div", { class: "tabs", role: "tablist", "aria-label": "Probes" }, tabs), ...panels];
};

const legend = () => make("p", { class: "heat-legend muted" },
  make("span", { class: "heat positive level-6" }, "speaks for it"), " ",
  make("span", { class: "heat negative level-6" }, "speaks against it"), " ",
  "the stronger, the deeper the colour; on an image what speaks against is hatched");
