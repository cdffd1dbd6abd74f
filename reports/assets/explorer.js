// The sample explorer, after drawing.js and in one block with it.

const PAGE = 100;
const samples = JSON.parse(document.getElementById("samples").textContent);
const root = document.querySelector(".explorer");

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
/** Filters that join an explanation with the answer and the adversarial example of its sample, for the probe whose tab was chosen last. */
const SLICES = {
  "wrong, and unfaithful": "wrong_and_unfaithful",
  "flipped by attack, explanation unmoved": "flipped_explanation_unmoved",
  "right for the wrong reason": "right_for_wrong_reason",
};
for (const [words, name] of Object.entries(SLICES)) {
  STATUSES[words] = (sample) => sample.heats.some((heat) => heat.probe === chosen && heat.slices[name] === true);
}
/** Filters that any sample of the page has, for any probe. */
const sliced = Object.keys(SLICES).filter((words) => samples.some((sample) => sample.heats.some((heat) => SLICES[words] in heat.slices)));
chosen = samples.find((sample) => sample.heats.length)?.heats[0].probe ?? null;

/** [class, glyph, words] of the sample's outcome. */
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

// ── the selected sample ──────────────────────────────────────────────────────────────────────────────────────────

// Show short predictions side by side; a long first text is already shown above.
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

  const narrowed = () => {
    const words = state.query.toLowerCase().split(/\s+/).filter(Boolean);
    found = samples.filter((sample) =>
      STATUSES[state.status](sample) &&
      (state.model === null || sample.model === state.model) &&
      (state.task === null || sample.task === state.task) &&
      words.every((word) => haystack(sample).includes(word)));
    state.page = Math.max(0, Math.floor(found.indexOf(selected) / PAGE));
    drawList();
  };

  const filter = () => {
    narrowed();
    drawChips();
    if (!found.length) detail.replaceChildren(make("p", { class: "muted" }, "No sample matches these filters."));
    else select(found.includes(selected) ? selected : found[0], { remember: false });
  };

  /** Functions that redraw the rows of chips. */
  const rows = [];
  const drawChips = () => rows.forEach((draw) => draw());

  /** A row of chips for a field. `title`: returns the current title. `options`: [label, value, filter]. */
  const chips = (title, field, options) => {
    const said = make("span", { class: "title", "aria-hidden": "true" });
    const drawn = options.map(([label, value, has]) => {
      const tally = make("span", { class: "tally" });
      const button = make("button", { type: "button" }, label, " ", tally);
      button.addEventListener("click", () => {
        state[field] = value;
        filter();
      });
      return { button, tally, value, has };
    });
    const row = make("div", { class: "chips", role: "group" }, said, drawn.map(({ button }) => button));
    rows.push(() => {
      said.textContent = title();
      row.setAttribute("aria-label", title());
      for (const { button, tally, value, has } of drawn) {
        button.setAttribute("aria-pressed", String(state[field] === value));
        tally.textContent = samples.filter(has).length.toLocaleString("en");
      }
    });
    return row;
  };

  const names = (field) => {
    const different = [...new Set(samples.map((sample) => sample[field]))];
    const options = different.map((name) => [name, name, (sample) => sample[field] === name]);
    return different.length > 1 ? [chips(() => field, field, [["all", null, STATUSES.all], ...options])] : [];
  };

  const statuses = (title, labels) => (labels.length ? [chips(title, "status", labels.map((label) => [label, label, STATUSES[label]]))] : []);

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

  // Keep the open sample, even if the new probe's filter excludes it.
  const follow = () => {
    if (state.status in SLICES) narrowed();
    drawChips();
  };

  document.getElementById("chips").append(
    ...statuses(() => "show", Object.keys(STATUSES).filter((label) => !(label in SLICES))), ...statuses(() => `by ${chosen}`, sliced),
    ...names("model"), ...names("task"));
  detail.addEventListener("probe", follow);
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
