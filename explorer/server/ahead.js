// Streamlit's page asks for the script of each kind of element when the first one is to be drawn:
// dozens of files, after the server has answered. Here they are asked for while it still works.
((soon, later) => {
  const entry = () => document.querySelector('script[type="module"][src]')?.src;
  const at = (name) => new URL(name, entry()).href;
  const drawn = () => {
    const app = document.querySelector('[data-testid="stApp"]');
    return app?.getAttribute("data-test-script-state") === "notRunning" && document.querySelector("h1");
  };
  // Fetched and compiled only: to run it takes a moment in which a page does not answer.
  const fetchOnly = (name) => {
    const link = document.createElement("link");
    Object.assign(link, { rel: "modulepreload", crossOrigin: "", href: at(name) });
    document.head.append(link);
  };
  addEventListener("DOMContentLoaded", () => {
    if (!entry()) return;
    // Run, as every page needs them; one that cannot be had is Streamlit's to miss.
    for (const name of soon) import(at(name)).catch(() => {});
    if (location.pathname !== "/") return; // any other page asks for the rest itself, at once
    const timer = setInterval(() => {
      if (!drawn()) return;
      clearInterval(timer);
      later.forEach(fetchOnly);
    }, 100);
  });
})
