// Saves the figure of a page as a picture, by the figure's own camera in another format.
export default function ({ parentElement, data }) {
  for (const button of parentElement.querySelectorAll("button")) {
    button.onclick = () => {
      const place = document.querySelector("." + CSS.escape(data.place));
      const figure = place?.querySelector(".js-plotly-plot");
      const camera = figure?.querySelector('.modebar-btn[data-title^="Download"]');
      if (!camera) { button.textContent = "No figure is drawn here"; return; }
      const options = figure._context.toImageButtonOptions;
      const before = options.format;
      options.format = button.dataset.format;
      camera.click();
      options.format = before;
    };
  }
}
