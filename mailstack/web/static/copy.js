// Buttons that copy what stands beside them; they are shown only where the browser can.
"use strict";
(() => {
  if (!navigator.clipboard) return;
  const show = () => document.querySelectorAll("button.copy[hidden]").forEach((one) => { one.hidden = false; });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (!button) return;
    await navigator.clipboard.writeText(document.getElementById(button.dataset.of).textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  document.addEventListener("htmx:load", show);
  show();
})();
