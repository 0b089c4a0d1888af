// Looks at a page as it stands: text that is cut or overlaps other text in a figure, and text whose
// contrast with what is behind it is too low. Gives a list of complaints.
(least) => {
  const found = [];
  const seen = (el) => {
    const box = el.getBoundingClientRect();
    if (box.width < 1 || box.height < 1) return null;
    for (let at = el; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.visibility === "hidden" || style.display === "none" || +style.opacity === 0) return null;
    }
    return box;
  };
  const name = (el) => (el.textContent || "").trim().replace(/\s+/g, " ").slice(0, 50);

  // The corners of a text as it is drawn, turned texts too, two pixels in from its edges.
  const quad = (el) => {
    const b = el.getBBox(), m = el.getScreenCTM();
    const at = (x, y) => [m.a * x + m.c * y + m.e, m.b * x + m.d * y + m.f];
    const [l, r, t, d] = [b.x + 1, b.x + b.width - 1, b.y + 2, b.y + b.height - 2];
    return [at(l, t), at(r, t), at(r, d), at(l, d)];
  };
  // Two convex shapes meet unless a line along one of their sides parts them.
  const meet = (p, q) => [p, q].every((shape) => shape.every((one, i) => {
    const next = shape[(i + 1) % 4], axis = [next[1] - one[1], one[0] - next[0]];
    const along = (points) => points.map(([x, y]) => x * axis[0] + y * axis[1]);
    const [u, v] = [along(p), along(q)];
    return Math.max(...u) > Math.min(...v) && Math.max(...v) > Math.min(...u);
  }));

  // -- figures: Plotly draws text as SVG, cut where the figure ends ------------------------------
  for (const plot of document.querySelectorAll(".js-plotly-plot")) {
    const room = plot.getBoundingClientRect();
    const kinds = ".xtick text, .ytick text, .xtitle, .ytitle, .gtitle, .gtitle-subtitle, " +
      ".legendtext, .annotation-text, .cbaxis text, .bartext";
    const texts = [...plot.querySelectorAll(kinds)].map((el) => [el, seen(el)]).filter(([, b]) => b);
    for (const [el, b] of texts) {
      if (b.left < room.left - 1.5 || b.right > room.right + 1.5 ||
          b.top < room.top - 1.5 || b.bottom > room.bottom + 1.5) {
        found.push(`cut: ${name(el)} in ${name(plot.querySelector(".gtitle") || plot)}`);
      }
    }
    const named = texts.map(([el]) => [el, name(el)]).filter(([, words]) => words);
    const drawn = named.map(([el, words]) => [el, words, quad(el)]);
    for (const [i, [a, one, p]] of drawn.entries()) {
      for (const [b, other, q] of drawn.slice(i + 1)) {
        if (!meet(p, q) || a.contains(b) || b.contains(a)) continue;
        found.push(`overlap: ${one} | ${other} in ${name(plot.querySelector(".gtitle") || plot)}`);
      }
    }
  }

  // -- words on the page: cut by their own box, or by the window ----------------------------------
  const all = '[data-testid="stMain"], [data-testid="stSidebar"]';
  const worded = [...document.querySelectorAll(all)].flatMap((part) =>
    [...part.querySelectorAll("p, h1, h2, h3, label, button, li, td, th, a")]);
  for (const el of worded) {
    const box = seen(el);
    if (!box || el.closest(".js-plotly-plot, [data-testid='stDataFrame'], div.lists")) continue;
    const style = getComputedStyle(el);
    if (style.overflow === "hidden" && el.scrollWidth > el.clientWidth + 1 && el.children.length === 0) {
      found.push(`cut: ${name(el)}`);
    }
    if (box.right > innerWidth + 1 && !el.closest("[class*='overflow'], pre, .vega-embed")) {
      found.push(`beyond the window: ${name(el)}`);
    }
  }

  // -- contrast, by WCAG 2 ------------------------------------------------------------------------
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const colours = new Map(); // a page has few, in many places
  const colour = (text) => {
    if (!colours.has(text)) colours.set(text, painted(text));
    return colours.get(text);
  };
  const painted = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = "rgba(0,0,0,0)";
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return a ? [r, g, b, a / 255] : [0, 0, 0, 0];
  };
  const over = (top, under) => top.slice(0, 3).map((v, i) => v * top[3] + under[i] * (1 - top[3]));
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (el) => {
    const layers = [];
    for (let at = el; at; at = at.parentElement) {
      const c = colour(getComputedStyle(at).backgroundColor);
      if (c[3] > 0) layers.push(c);
      if (c[3] === 1) break;
    }
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const opacity = (el) => {
    let all = 1;
    for (let at = el; at; at = at.parentElement) all *= +getComputedStyle(at).opacity;
    return all;
  };
  const check = (el, text) => {
    const back = behind(el), ink = colour(text);
    const front = over([ink[0], ink[1], ink[2], ink[3] * opacity(el)], back);
    const [a, b] = [light(front), light(back)].sort((p, q) => q - p);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < least) found.push(`contrast ${ratio.toFixed(1)}: ${name(el)} <${el.tagName} ${el.closest("[data-testid]")?.dataset.testid}>`);
  };
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const done = new Set();
  while (words.nextNode()) {
    const el = words.currentNode.parentElement;
    if (!words.currentNode.data.trim() || done.has(el) || !seen(el)) continue;
    done.add(el);
    if (el.closest("svg") || el.closest("[disabled], [aria-disabled='true'], :disabled")) continue;
    if (el.closest("[data-testid='stIconMaterial'], style, script, noscript, pre")) continue;
    if (el.closest("[data-testid='stSliderThumbValue']")) continue; // above its thumb, not on it
    if (el.closest("label")?.querySelector(":disabled")) continue;
    check(el, getComputedStyle(el).color);
  }
  for (const el of document.querySelectorAll(
    ".xtick text, .ytick text, .xtitle, .ytitle, .gtitle, .gtitle-subtitle, .legendtext, .cbaxis text")) {
    if (seen(el)) check(el, getComputedStyle(el).fill);
  }
  return [...new Set(found)];
}
