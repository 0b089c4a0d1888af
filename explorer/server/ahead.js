// Streamlit's page asks for the script of each kind of element when the first one is to be drawn:
// dozens of files, after the server has answered. Here they are asked for while it still works.
((soon, later) => {
  const PAUSE_MS = 1500;
  const entry = () => document.querySelector('script[type="module"][src]')?.src;
  const at = (name) => new URL(name, entry()).href;
  const drawn = () => {
    const app = document.querySelector('[data-testid="stApp"]');
    return app?.getAttribute("data-test-script-state") === "notRunning" && document.querySelector("h1");
  };
  // One that cannot be had is Streamlit's to miss.
  const run = (name) => import(at(name)).catch(() => {});
  // Fetched and compiled only.
  const fetchOnly = (name) => {
    const link = document.createElement("link");
    Object.assign(link, { rel: "modulepreload", crossOrigin: "", href: at(name) });
    document.head.append(link);
  };
  // To run what draws figures takes a moment in which a page does not answer: while one is read.
  const whenIdle = (work) => (window.requestIdleCallback ?? setTimeout)(work);
  const runInTurn = ([name, ...others]) => {
    if (name) whenIdle(() => run(name).then(() => runInTurn(others)));
  };
  addEventListener("DOMContentLoaded", () => {
    if (!entry()) return;
    soon.forEach(run); // as every page needs them
    const timer = setInterval(() => {
      if (!drawn()) return;
      clearInterval(timer);
      later.forEach(fetchOnly);
      setTimeout(() => runInTurn(later), PAUSE_MS);
    }, 100);
  });
})
