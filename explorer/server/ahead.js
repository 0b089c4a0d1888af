// Streamlit's page asks for the script of each kind of element when the first one is to be drawn:
// dozens of files, after the server has answered. Here they are asked for while it still works.
((soon, later) => {
  const entry = () => document.querySelector('script[type="module"][src]')?.src;
  const ready = () => {
    const app = document.querySelector('[data-testid="stApp"]');
    return app?.getAttribute("data-test-script-state") === "notRunning" && document.querySelector("h1");
  };
  const begin = async () => {
    if (!entry()) return;
    // Run, as every page needs them; one that cannot be had is Streamlit's to miss.
    await Promise.allSettled(soon.map((name) => import(new URL(name, entry()).href)));
    const home = location.pathname === "/"; // has none of the others: it comes first
    const timer = setInterval(() => {
      if (home && !ready()) return;
      clearInterval(timer);
      // Fetched and compiled only: to run them takes a moment in which a page does not answer.
      for (const name of later) {
        const link = document.createElement("link");
        Object.assign(link, { rel: "modulepreload", crossOrigin: "", href: new URL(name, entry()).href });
        document.head.append(link);
      }
    }, 100);
  };
  addEventListener("DOMContentLoaded", begin);
})
