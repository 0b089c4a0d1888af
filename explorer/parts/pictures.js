// Saves the figure of a page as a picture: by the figure's own camera in another format, or as a
// PDF, in which lines and letters stay what they are, by the browser's own printing. On the ground that
// the page has: a figure's own is clear, and the light letters of a dark page are lost on white.
export default function ({ parentElement, data }) {
  for (const button of parentElement.querySelectorAll("button")) {
    button.onclick = () => {
      const place = document.querySelector("." + CSS.escape(data.place));
      const figure = place?.querySelector(".js-plotly-plot");
      const camera = figure?.querySelector('.modebar-btn[data-title^="Download"]');
      if (!camera) { button.textContent = "No figure is drawn here"; return; }
      const options = figure._context.toImageButtonOptions;
      if (button.dataset.format === "pdf") { print(figure, options.filename); return; }
      const { format } = options, { paper_bgcolor } = figure.layout;
      options.format = button.dataset.format;
      figure.layout.paper_bgcolor = ground();
      camera.click(); // reads both at once
      options.format = format;
      figure.layout.paper_bgcolor = paper_bgcolor;
    };
  }
}

const ground = () =>
  getComputedStyle(document.querySelector('[data-testid="stApp"]')).backgroundColor;

// A sheet of the figure's own size with nothing but the figure; its title becomes the file's name.
function print(figure, name) {
  const { width, height } = figure.getBoundingClientRect();
  const sheet = document.createElement("iframe");
  sheet.className = "sheet";
  sheet.style.cssText = "position: fixed; width: 0; height: 0; border: 0;";
  document.body.append(sheet);
  const inside = sheet.contentDocument, drawn = figure.querySelector(".svg-container");
  const style = inside.createElement("style");
  style.textContent = `@page {size: ${Math.ceil(width)}px ${Math.ceil(height)}px; margin: 0}
    html, body {margin: 0; height: ${Math.floor(height)}px; overflow: hidden; background: ${ground()};
      print-color-adjust: exact; -webkit-print-color-adjust: exact}
    .main-svg {position: absolute; top: 0; left: 0}`;
  inside.head.append(style);
  inside.body.append(drawn.cloneNode(true));
  for (const one of inside.querySelectorAll(".modebar-container, .hoverlayer")) one.remove();
  const before = document.title;
  inside.title = document.title = name;
  sheet.contentWindow.addEventListener("afterprint", () => {
    document.title = before;
    sheet.remove();
  });
  sheet.contentWindow.print();
}
