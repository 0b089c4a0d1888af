export default function ({ parentElement }) {
  const button = parentElement.querySelector("button");
  const say = (words) => {
    button.textContent = words;
    setTimeout(() => { button.textContent = "Copy link"; }, 2000);
  };
  // Without the clipboard's own interface, which pages served by plain http do not get.
  const byHand = (text) => {
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  };
  button.onclick = async () => {
    const text = location.href;
    try {
      await navigator.clipboard.writeText(text);
      say("Copied");
    } catch {
      say(byHand(text) ? "Copied" : "Copy the address above");
    }
  };
}
