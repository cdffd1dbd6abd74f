"use strict";
// The sample explorer. Sample text reaches the page only as text nodes and attribute values made here, never as markup.
{
  const PAGE = 100;
  const SVG = "http://www.w3.org/2000/svg";
  const samples = JSON.parse(document.getElementById("samples").textContent);
  const root = document.querySelector(".explorer");

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

  // ── facts of a sample ────────────────────────────────────────────────────────────────────────────────────────────

  const key = (sample) => `${sample.model}/${sample.task}/${sample.id}`;
  const flipped = (sample) => sample.twins.some((twin) => twin.success === true);
  const attacked = (sample) => sample.twins.some((twin) => twin.success !== null);
  const STATUSES = {
    all: () => true,
    wrong: (sample) => sample.correct === false,
    failed: (sample) => sample.error !== null,
    "flipped by attack": flipped,
    "survived attack": (sample) => attacked(sample) && !flipped(sample),
  };
  /** What joins an explanation with the answer and the twin of the same sample; shown where a sample of the page could be in it. */
  const SLICES = {
    wrong_and_unfaithful: "wrong, and unfaithful",
    flipped_explanation_unmoved: "flipped by attack, explanation unmoved",
    right_for_wrong_reason: "right for the wrong reason",
  };
  for (const [name, words] of Object.entries(SLICES)) {
    if (samples.some((sample) => name in sample.slices)) STATUSES[words] = (sample) => sample.slices[name] === true;
  }

  /** [class, glyph, words] for how the model did. */
  const outcome = (sample) => {
    if (sample.error !== null) return ["failed", "!", "failed"];
    if (sample.correct === null) return ["unjudged", "·", "not judged"];
    return sample.correct ? ["right", "✓", "right"] : ["wrong", "✗", "wrong"];
  };

  const plain = (texts) => texts.map(([, segments]) => segments.map((segment) => segment[1]).join("")).join(" ");

  const haystacks = new Map();
  const haystack = (sample) => {
    if (!haystacks.has(sample)) {
      const fields = [sample.id, plain(sample.input.texts), sample.target ?? "", sample.prediction ?? "", sample.error ?? ""];
      haystacks.set(sample, fields.join("\n").toLowerCase());
    }
    return haystacks.get(sample);
  };

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

  const passage = ([name, segments]) => [
    name ? make("p", { class: "part" }, name) : null,
    make("p", { class: "text", dir: "auto" }, segments.map(piece)),
  ];

  /** An image large enough to look at: small ones keep their pixels. */
  const picture = (source, alt) => {
    const image = make("img", { src: source, alt, class: "picture" });
    image.addEventListener("load", () => image.classList.toggle("pixels", image.naturalWidth < 200));
    return image;
  };

  const figure = (caption, ...children) => make("figure", {}, make("div", { class: "stack" }, ...children), make("figcaption", {}, caption));

  const shown = (input) => [
    ...input.texts.map(passage),
    input.image ? figure(input.kind, picture(input.image, "The input image")) : null,
    input.texts.length || input.image ? null : make("p", { class: "muted" }, `This ${input.kind} input cannot be shown on a page.`),
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

  /** How opaque all overlays are, in per cent: what is set for one sample holds for the next. */
  let opacity = 70;

  /** An attribution over the image: blue speaks for the class, hatched orange against it. */
  const overlay = (image, { rows, columns, values }) => {
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
      context.globalAlpha = Math.min(1, 0.4 - value);
      context.strokeStyle = context.fillStyle;
      context.lineWidth = Math.max(2, cell / 16);
      context.beginPath();
      context.moveTo(x, y + cell);
      context.lineTo(x + cell, y);
      context.stroke();
    });
    canvas.style.opacity = opacity / 100;
    return make("div", { class: "stack" }, image ? picture(image, "The input image under its attribution") : null, canvas);
  };

  /** One slider for all maps of the sample. */
  const fader = () => {
    const slider = make("input", { type: "range", min: 0, max: 100, value: opacity });
    const said = make("output", {}, `${opacity} %`);
    slider.addEventListener("input", () => {
      opacity = Number(slider.value);
      said.textContent = `${opacity} %`;
      for (const canvas of detail.querySelectorAll(".overlay")) canvas.style.opacity = opacity / 100;
    });
    return make("label", { class: "fade" }, "overlay", slider, said);
  };

  const bars = (sample) => {
    const rows = sample.probabilities.map(([label, text, share]) => {
      const role = [label === sample.prediction ? "predicted" : null, label === sample.target ? "target" : null].filter(Boolean).join(", ");
      const bar = make("svg", { class: "bar", "aria-hidden": "true" });
      bar.append(make("rect", { class: "track", width: "100%", height: "100%" }), make("rect", { class: "fill", width: `${100 * share}%`, height: "100%" }));
      return make("tr", {}, make("th", { scope: "row" }, label, role ? make("span", { class: "why" }, role) : ""), make("td", {}, bar), make("td", { class: "number" }, text));
    });
    const more = sample.more_probabilities ? make("p", { class: "muted" }, `and ${sample.more_probabilities} more`) : null;
    return block("Probabilities", make("table", { class: "bars" }, make("caption", { class: "hidden" }, "Probabilities, likeliest first"), make("tbody", {}, rows)), more);
  };

  // ── the selected sample ──────────────────────────────────────────────────────────────────────────────────────────

  // Classes are shown side by side; of two texts the first stands above already.
  const answerPair = (before, after) => {
    if (after === null) return [];
    return before.length + after.length <= 80 ? [["prediction", `${before} → ${after}`]] : [["answer", after]];
  };

  const twinBlock = (sample, twin) => {
    const said = twin.success === null ? "not attacked" : twin.success ? "flipped the prediction" : "survived";
    const kind = twin.success === null ? "none" : twin.success ? "fail" : "pass";
    const images = twin.input?.image && sample.input.image ? [picture(sample.input.image, "Before the attack"), picture(twin.input.image, "After the attack")] : null;
    return make("section", { class: "twin" },
      make("h5", {}, twin.attack, " ", make("span", { class: `badge badge-${kind}` }, said)),
      twin.note ? make("p", { class: "muted" }, twin.note) : null,
      ...(twin.input?.texts ?? []).map(passage).flat(),
      images ? make("div", { class: "side-by-side" }, figure("before", images[0]), figure("after", images[1]), difference(...images)) : null,
      twin.input?.note ? make("p", { class: "muted" }, twin.input.note) : null,
      pairs([...answerPair(sample.prediction ?? "none", twin.prediction), ...twin.facts], "inline"));
  };

  const named = (title, target) => make("h6", {}, title, " ", make("span", { class: "muted" }, "for ", make("bdi", {}, target)));

  const map = (heat, image) =>
    heat.grid ? overlay(image, heat.grid)
    : heat.segments ? make("p", { class: "text", dir: "auto" }, heat.segments.map(piece))
    : make("p", { class: "muted" }, "This attribution does not fit the input, so it is not drawn.");

  /** A name that may be broken after its underscores. */
  const breakable = (name) => name.split(/(?<=_)/).flatMap((part) => [part, make("wbr")]);

  const scoreTable = (scores) => {
    const heads = ["score", "value", "random order", "random weights"];
    const shown = heads.map((_, i) => i < 2 || scores.some((cells) => cells[i] !== "–"));
    const row = (cells, cell) => make("tr", {}, cells.map(cell).filter((_, i) => shown[i]));
    const head = row(heads, (name, i) => make("th", { scope: "col", class: i ? "number" : null }, name));
    const body = scores.map((cells) => row(cells, (cell, i) => (i ? make("td", { class: "number" }, cell) : make("th", { scope: "row" }, breakable(cell)))));
    return make("div", { class: "scroll" }, make("table", { class: "scores" }, make("thead", {}, head), make("tbody", {}, body)));
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
      heat.scores.length ? scoreTable(heat.scores) : null,
      ...shifts.map((twin) => make("div", {}, make("h6", {}, `how far ${twin.attack} moved it`), scoreTable(twin.scores))),
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

  const legend = () => make("p", { class: "legend muted" },
    make("span", { class: "heat positive level-6" }, "speaks for it"), " ",
    make("span", { class: "heat negative level-6" }, "speaks against it"), " ",
    "the stronger, the deeper the colour; on an image what speaks against is hatched");

  const detail = root?.querySelector(".detail");
  const open = (sample) => {
    const [kind, glyph, words] = outcome(sample);
    const answers = [["target", sample.target ?? "none"], ["prediction", sample.prediction ?? "none"], ["judged", make("span", { class: `outcome ${kind}` }, `${glyph} ${words}`)]];
    const parts = [
      make("header", {},
        make("h3", { tabindex: "-1" }, sample.id),
        make("p", { class: "muted" }, make("bdi", {}, sample.task), " · ", make("bdi", {}, sample.model), " · ",
          make("a", { href: `#sample=${encodeURIComponent(key(sample))}` }, "link to this sample"))),
      sample.error !== null ? make("p", { class: "error" }, sample.error) : null,
      pairs(answers, "answers"),
      block("Input", ...shown(sample.input)),
      sample.probabilities.length ? bars(sample) : null,
      sample.scores.length ? block("Scores", pairs(sample.scores, "inline")) : null,
      sample.twins.length ? block("Under attack", ...sample.twins.map((twin) => twinBlock(sample, twin))) : null,
      sample.heats.length ? block("Attribution", legend(), ...heatTabs(sample)) : null,
    ];
    detail.replaceChildren(...parts.filter((part) => part !== null));
  };

  // ── the list ─────────────────────────────────────────────────────────────────────────────────────────────────────

  const start = () => {
    const state = { status: "all", model: null, task: null, query: "", page: 0 };
    let found = samples;
    let selected = samples[0];
    const list = root.querySelector("ol");
    const search = document.getElementById("search");
    const status = root.querySelector("[role=status]");
    const [previous, next] = root.querySelectorAll(".pages button");
    const narrow = matchMedia("(max-width: 60rem)");

    const entry = (sample) => {
      const [kind, glyph, words] = outcome(sample);
      const button = make("button", { type: "button", "aria-current": sample === selected ? "true" : null },
        make("span", { class: `outcome ${kind}`, role: "img", "aria-label": words, title: words }, glyph),
        make("span", { class: "name" }, sample.id),
        flipped(sample) ? make("span", { class: "flipped" }, "flipped") : "",
        make("span", { class: "snippet", dir: "auto" }, plain(sample.input.texts).slice(0, 120) || sample.input.kind));
      button.addEventListener("click", () => {
        select(sample);
        detail.querySelector("h3").focus({ preventScroll: !narrow.matches });
      });
      return make("li", {}, button);
    };

    const drawList = () => {
      const first = state.page * PAGE;
      const page = found.slice(first, first + PAGE);
      list.replaceChildren(...page.map(entry));
      list.setAttribute("start", first + 1);
      const total = found.length === 1 ? "1 sample" : `${found.length.toLocaleString("en")} samples`;
      status.textContent = found.length > PAGE ? `${first + 1}–${first + page.length} of ${total}` : total;
      previous.parentElement.hidden = found.length <= PAGE;
      previous.disabled = state.page === 0;
      next.disabled = first + PAGE >= found.length;
      list.scrollTop = 0;
    };

    const current = () => list.querySelector("[aria-current]");

    const select = (sample, { remember = true } = {}) => {
      selected = sample;
      const place = found.indexOf(sample);
      if (place >= 0 && Math.floor(place / PAGE) !== state.page) {
        state.page = Math.floor(place / PAGE);
        drawList();
      }
      current()?.removeAttribute("aria-current");
      const button = list.children[place - state.page * PAGE]?.firstChild;
      button?.setAttribute("aria-current", "true");
      if (button) list.scrollTop += Math.min(0, button.offsetTop - list.scrollTop) || Math.max(0, button.offsetTop + button.offsetHeight - list.scrollTop - list.clientHeight);
      open(sample);
      if (remember) history.replaceState(null, "", `#sample=${encodeURIComponent(key(sample))}`);
    };

    const move = (steps) => {
      const place = found.indexOf(selected);
      const target = found[place < 0 ? 0 : Math.min(Math.max(place + steps, 0), found.length - 1)];
      if (target) select(target);
    };

    const filter = () => {
      const words = state.query.toLowerCase().split(/\s+/).filter(Boolean);
      found = samples.filter((sample) =>
        STATUSES[state.status](sample) &&
        (state.model === null || sample.model === state.model) &&
        (state.task === null || sample.task === state.task) &&
        words.every((word) => haystack(sample).includes(word)));
      state.page = 0;
      drawList();
      if (!found.length) detail.replaceChildren(make("p", { class: "muted" }, "No sample is left by these filters."));
      else select(found.includes(selected) ? selected : found[0], { remember: false });
    };

    /** A row of chips of which one is pressed. `options`: [label, value, how many samples]. */
    const chips = (title, field, options) => {
      const buttons = options.map(([label, value, count]) => {
        const button = make("button", { type: "button", "aria-pressed": String(state[field] === value) }, label, " ", make("span", { class: "tally" }, count.toLocaleString("en")));
        button.addEventListener("click", () => {
          state[field] = value;
          buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
          filter();
        });
        return button;
      });
      return make("div", { class: "chips", role: "group", "aria-label": title }, make("span", { class: "title", "aria-hidden": "true" }, title), buttons);
    };

    const names = (field) => {
      const counts = new Map();
      for (const sample of samples) counts.set(sample[field], (counts.get(sample[field]) ?? 0) + 1);
      return counts.size > 1 ? [chips(field, field, [["all", null, samples.length], ...[...counts].map(([name, count]) => [name, name, count])])] : [];
    };

    const fromHash = () => {
      if (!location.hash.startsWith("#sample=")) return;
      let wanted;
      try { wanted = decodeURIComponent(location.hash.slice("#sample=".length)); } catch { return; }
      const sample = samples.find((candidate) => key(candidate) === wanted);
      if (sample) {
        select(sample, { remember: false });
        document.getElementById("explorer").scrollIntoView();
      } else status.textContent = "The sample of this link is not on this page.";
    };

    const turn = (steps) => () => {
      state.page += steps;
      drawList();
    };

    const keys = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const typing = event.target.matches("input");
      const inList = list.contains(event.target);
      const steps = { j: 1, k: -1, ...(inList ? { ArrowDown: 1, ArrowUp: -1 } : {}) }[event.key];
      if (event.key === "Escape" && (event.target === search || detail.contains(event.target))) current()?.focus();
      else if (typing) return;
      else if (event.key === "/") search.focus();
      else if (steps) {
        move(steps);
        if (inList) current()?.focus({ preventScroll: true });
      } else return;
      event.preventDefault();
    };

    const total = (name) => samples.filter(STATUSES[name]).length;
    document.getElementById("chips").append(
      chips("show", "status", Object.keys(STATUSES).map((name) => [name, name, total(name)])), ...names("model"), ...names("task"));
    previous.addEventListener("click", turn(-1));
    next.addEventListener("click", turn(1));
    search.addEventListener("input", () => {
      state.query = search.value;
      filter();
    });
    document.addEventListener("keydown", keys);
    addEventListener("hashchange", fromHash);
    root.hidden = false;
    filter();
    fromHash();
  };

  if (root) start();
}
