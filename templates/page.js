// Copy buttons appear only in browsers that can copy, and report success.
for (const button of document.querySelectorAll("button[data-copied]")) {
  const box = button.closest(".copyable");
  const status = box.querySelector("[role=status]");
  const text = box.querySelector("code");
  const copy = async () => {
    status.textContent = "";
    try {
      await navigator.clipboard.writeText(text.textContent);
      status.textContent = button.dataset.copied;
      button.textContent = button.dataset.copied;
    } catch {
      // The browser refused. Select the text, so that the user can copy it.
      getSelection().selectAllChildren(text);
    }
  };
  button.addEventListener("click", copy);
  button.hidden = !navigator.clipboard;
}
