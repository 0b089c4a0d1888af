// The sequence of tokens. Looking, pinning, the choice of heads and playing stay in the browser;
// two things are told to the server: a tool used on blanks ("used"), and a step gone to ("gone").
const PLAY_MS = 700;
const INK = { from: "0, 114, 178", to: "230, 159, 0" }; // what it looks at; what looks at it
const LOOK = "look"; // the tool that changes nothing
const MOST_NAMED = 4; // positions that the words name, on each side

export default function ({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector(".sequence");
  const view = root.view ?? (root.view = { heads: null, pinned: null, tool: data.tool, at: 0 });
  clearInterval(view.timer);
  view.playing = false;
  if (view.headGiven !== data.head) { view.headGiven = data.head; view.heads = null; }
  if (!data.tools.some(([name]) => name === view.tool)) view.tool = LOOK;
  view.step = data.step;
  const focused = root.contains(document.activeElement) ? document.activeElement.dataset.i : null;
  const one = new Drawing(root, data, view, setTriggerValue);
  one.draw();
  if (focused !== null && focused !== undefined) one.tokens[+focused]?.focus({ preventScroll: true });
  return () => clearInterval(view.timer);
}

class Drawing {
  constructor(root, data, view, tell) {
    Object.assign(this, { root, data, view, tell, tokens: [] });
    this.weights = Uint8Array.from(atob(data.attention), (c) => c.charCodeAt(0));
    this.perHead = (data.n * (data.n + 1)) / 2;
    this.hovered = null;
  }

  // -- attention: the mean over the chosen heads, of a query to a key ------------------------------
  chosenHeads() {
    const { heads, head } = this.data;
    const chosen = this.view.heads ?? (head ? [head] : heads);
    const numbers = chosen.map((name) => heads.indexOf(name)).filter((i) => i >= 0);
    return numbers.length ? numbers : heads.map((_, i) => i);
  }
  attention(query, key) {
    if (key > query || query >= this.data.n) return 0;
    const at = (query * (query + 1)) / 2 + key;
    const heads = this.chosenHeads();
    const sum = heads.reduce((all, head) => all + this.weights[head * this.perHead + at], 0);
    return sum / heads.length / this.data.levels;
  }

  // -- drawing -------------------------------------------------------------------------------------
  draw() {
    const bar = make("div", { class: "bar" });
    bar.append(this.playBar(), this.headBar());
    if (this.data.tools.length) bar.append(this.toolBar());
    const regions = make("div", { class: "regions", role: "group", "aria-label":
      "The sequence. Arrow keys move, Enter pins or uses the tool, Escape lets go." });
    for (const region of this.data.regions) regions.append(this.region(region));
    this.words = make("output", { "aria-live": "polite" });
    this.root.replaceChildren(bar, regions, this.words);
    this.view.at = Math.min(this.view.at, this.tokens.length - 1);
    this.tokens[this.view.at].tabIndex = 0;
    this.colour();
  }
  region({ kind, name, symbol, tokens, first }) {
    const box = make("div", { class: `region ${kind}`, role: "group", "aria-label": name });
    box.append(make("small", {}, `${symbol} ${name}`));
    const row = make("p", {});
    tokens.forEach((text, i) => row.append(this.token(text, first + i)));
    box.append(row);
    return box;
  }
  token(text, number) {
    const i = this.tokens.length;
    const el = make("span", { class: "token", role: "button", tabindex: -1, "data-i": i });
    if (text.length > 1) el.classList.add("word");
    el.append(make("b", {}, text), make("i", {}, String(number)));
    el.number = String(number);
    el.onpointerenter = () => { this.hovered = i; this.colour(); };
    el.onpointerleave = () => { this.hovered = null; this.colour(); };
    el.onfocus = () => this.reach(i);
    el.onblur = () => this.colour();
    el.onclick = (event) => this.use(i, event.shiftKey);
    el.onkeydown = (event) => this.key(i, event);
    this.tokens.push(el);
    return el;
  }

  // -- the three bars ------------------------------------------------------------------------------
  playBar() {
    const box = make("div", { role: "group", "aria-label": "Play the answer" });
    box.append(
      button("‹", "One output back", () => this.go((this.view.step ?? this.last) - 1), "One output back"),
      button(this.view.playing ? "❚❚ Stop" : "▶ Play", "The answer, output by output", () => this.play()),
      button("›", "One output on", () => this.go((this.view.step ?? -1) + 1), "One output on"),
    );
    return box;
  }
  headBar() {
    const box = make("div", { role: "group", "aria-label": "Heads whose attention is shown" });
    box.append(make("small", {}, "heads"));
    const chosen = this.chosenHeads(), { heads } = this.data;
    const all = button("all: mean", "The mean of all heads", () => this.chooseHeads(heads));
    all.setAttribute("aria-pressed", chosen.length === heads.length);
    box.append(all);
    heads.forEach((name, i) => {
      const on = chosen.length < heads.length && chosen.includes(i);
      const one = button(name, `Head ${name} (layer.head); with Shift beside those chosen`, (event) => {
        const others = event.shiftKey ? chosen.map((n) => heads[n]).filter((n) => n !== name) : [];
        this.chooseHeads(on && event.shiftKey ? others : [...others, name]);
      });
      one.setAttribute("aria-pressed", on);
      box.append(one);
    });
    return box;
  }
  chooseHeads(names) {
    this.view.heads = names.length ? names : this.data.heads;
    this.root.querySelector('[aria-label^="Heads"]').replaceWith(this.headBar());
    this.colour();
  }
  toolBar() {
    const box = make("div", { role: "radiogroup", "aria-label": "What a click on a blank does" });
    box.append(make("small", {}, "click on a blank"));
    const tools = [[LOOK, "look", "Shows its attention and changes nothing"], ...this.data.tools];
    for (const [name, title, explained] of tools) {
      const one = button(title, explained, () => {
        this.view.tool = name;
        box.replaceWith(this.toolBar());
      });
      one.setAttribute("role", "radio");
      one.setAttribute("aria-checked", name === this.view.tool);
      box.append(one);
    }
    return box;
  }

  // -- what the reader does ------------------------------------------------------------------------
  get last() { return this.data.outputs.length - 1; }
  reach(i) {
    this.tokens[this.view.at].tabIndex = -1;
    this.tokens[i].tabIndex = 0;
    this.view.at = i;
    this.colour();
  }
  use(i, shift) {
    const { firstBlank, nBlanks } = this.data, blank = i - firstBlank;
    if (this.view.tool === LOOK || blank < 0 || blank >= nBlanks) {
      this.view.pinned = this.view.pinned === i ? null : i;
      this.colour();
      return;
    }
    const from = shift && this.view.lastBlank !== undefined ? this.view.lastBlank : blank;
    const [low, high] = [Math.min(from, blank), Math.max(from, blank)];
    const blanks = Array.from({ length: high - low + 1 }, (_, n) => low + n);
    this.view.lastBlank = blank;
    this.tell("used", { tool: this.view.tool, blanks: shift ? blanks.filter((b) => b !== from) : blanks });
  }
  key(i, event) {
    const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: this.tokens.length - 1 }[event.key];
    if (event.key === "Enter" || event.key === " ") this.use(i, event.shiftKey);
    else if (event.key === "Escape") this.letGo(i);
    else if (event.key === "ArrowUp" || event.key === "ArrowDown") this.focusRow(i, event.key === "ArrowDown");
    else if (to !== undefined) this.tokens[Math.max(0, Math.min(to, this.tokens.length - 1))].focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
  letGo(i) {
    this.view.pinned = null;
    this.hovered = null;
    this.view.tool = LOOK;
    this.tokens[i].blur();
    const tools = this.root.querySelector('[role="radiogroup"]');
    if (tools) tools.replaceWith(this.toolBar());
    this.colour();
  }
  focusRow(i, down) {
    const at = this.tokens[i].getBoundingClientRect();
    const far = (box) => Math.abs(box.left - at.left) + 20 * Math.abs(box.top - at.top);
    const there = this.tokens.map((el) => [el, el.getBoundingClientRect()])
      .filter(([, box]) => (down ? box.top > at.bottom - 4 : box.bottom < at.top + 4));
    there.sort(([, a], [, b]) => far(a) - far(b));
    there[0]?.[0].focus();
  }

  // -- playing -------------------------------------------------------------------------------------
  show(step) {
    this.view.step = Math.max(0, Math.min(step, this.last));
    this.view.pinned = null;
    this.colour();
  }
  go(step) {
    this.stop();
    this.show(step);
    this.tell("gone", this.view.step);
  }
  play() {
    if (this.view.playing) { this.go(this.view.step); return; }
    this.view.playing = true;
    this.show(this.view.step === null || this.view.step === this.last ? 0 : this.view.step);
    this.drawPlay();
    this.view.timer = setInterval(() => {
      if (this.view.step >= this.last) this.go(this.last);
      else this.show(this.view.step + 1);
    }, PLAY_MS);
  }
  stop() {
    clearInterval(this.view.timer);
    this.view.timer = undefined;
    this.view.playing = false;
    this.drawPlay();
  }
  drawPlay() { this.root.querySelector('[aria-label="Play the answer"]').replaceWith(this.playBar()); }

  // -- colours and words ---------------------------------------------------------------------------
  focus() {
    const focused = this.tokens.indexOf(document.activeElement);
    if (this.hovered !== null) return this.hovered;
    if (focused >= 0) return focused;
    if (this.view.pinned !== null && this.view.pinned < this.tokens.length) return this.view.pinned;
    return this.view.step === null ? null : this.data.firstRow + this.view.step;
  }
  colour() {
    const seen = this.focus(), { step } = this.view, { data } = this;
    const firstOut = this.tokens.length - data.outputs.length;
    const touched = new Set(data.touched);
    const emits = step === null ? -1 : data.firstRow + step;
    this.tokens.forEach((el, i) => {
      const out = i - firstOut;
      const on = { done: touched.has(i), seen: i === seen, pinned: i === this.view.pinned,
        emits: i === emits, unsaid: out >= 0 && step !== null && out > step,
        new: out >= 0 && out === (step ?? this.last), wrong: out >= 0 && !data.outputs[out].right };
      for (const [name, yes] of Object.entries(on)) el.classList.toggle(name, yes);
      this.shade(el, i, seen);
      const notes = [data.labels[i], on.done && "intervened on", on.emits && "says the next output",
        out >= 0 && (on.wrong ? `wrong, should be ${data.outputs[out].shouldBe}` : "right")];
      el.setAttribute("aria-label", notes.filter(Boolean).join("; "));
    });
    this.words.replaceChildren(...this.said(seen));
  }
  shade(el, i, seen) {
    const from = seen === null ? 0 : this.attention(seen, i);
    const to = seen === null || i === seen ? 0 : this.attention(i, seen);
    const [weight, ink] = from >= to ? [from, INK.from] : [to, INK.to];
    const shown = seen !== null && weight >= 0.005;
    el.style.background = shown ? `rgba(${ink}, ${(0.08 + 0.47 * Math.sqrt(weight)).toFixed(3)})` : "";
    el.lastChild.textContent = shown && weight >= 0.01 ? `${percent(weight)}%` : el.number;
  }
  said(seen) {
    if (seen === null) return ["Point at a token, or go to it with Tab and the arrow keys, to see what it looks at and what looks at it."];
    const { data } = this, words = [make("b", {}, data.labels[seen])];
    const output = data.outputs[seen - data.firstRow];
    if (output) words.push(` says ${output.said} (${output.share}), ${output.right ? "right" : `wrong: it should be ${output.shouldBe}`};`);
    if (seen >= data.n) return [...words, " is the last output: said, and not given back as an input."];
    const places = [...Array(data.n).keys()];
    words.push(" ", make("span", { class: "from" }, "looks at"), ` ${this.named(places.filter((k) => k <= seen), (k) => this.attention(seen, k))}; `);
    words.push(make("span", { class: "to" }, "looked at by"), ` ${this.named(places.filter((q) => q > seen), (q) => this.attention(q, seen))}.`);
    return words;
  }
  named(places, weight) {
    const most = places.map((i) => [weight(i), i]).filter(([w]) => w >= 0.01);
    most.sort(([a], [b]) => b - a);
    const words = most.slice(0, MOST_NAMED).map(([w, i]) => `${this.data.labels[i]} (${percent(w)} %)`);
    const more = most.length - words.length;
    return words.length ? words.join(", ") + (more > 0 ? ` and ${more} more` : "") : "nothing above 1 %";
  }
}

const percent = (weight) => String(Math.round(100 * weight));

function make(tag, attributes, text) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) el.setAttribute(name, value);
  if (text !== undefined) el.textContent = text;
  return el;
}

function button(text, title, onclick, label) {
  const el = make("button", { type: "button", title, ...(label && { "aria-label": label }) }, text);
  el.onclick = onclick;
  return el;
}
