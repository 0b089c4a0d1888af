// One entry of the browser's history for one deliberate choice. Streamlit adds one whenever the
// address changes, also while a page that was just opened writes down what it shows. Here the first
// change after a click or a key adds an entry, and what follows from it replaces that one.
(() => {
  const push = history.pushState.bind(history);
  const replace = history.replaceState.bind(history);
  const here = () => location.pathname + location.search;
  let chosen = false;
  let last = here();
  let steps = 0;
  for (const kind of ["pointerdown", "keydown"]) {
    addEventListener(kind, () => { chosen = true; }, true);
  }
  history.pushState = (state, title, url) => {
    (chosen ? push : replace)(state, title, url);
    chosen = false;
    last = here();
  };
  history.replaceState = (state, title, url) => {
    replace(state, title, url);
    last = here();
  };
  // Before Streamlit asks for the page of that address: say that this is a step in the history, so
  // that the server does not take the address for an older one of its own.
  addEventListener("popstate", () => {
    if (here() === last) return; // a jump within the page
    const url = new URL(location.href);
    url.searchParams.set("back", String(++steps));
    history.replaceState(history.state, "", url);
    chosen = false;
  }, true);
})();
