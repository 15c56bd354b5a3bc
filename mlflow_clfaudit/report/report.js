// The report is shown in a sandboxed frame, where the clipboard may be refused: then the code is left selected.
for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    const selection = window.getSelection();
    selection.removeAllRanges();
    const range = document.createRange();
    range.selectNodeContents(code);
    selection.addRange(range);
    let copied = false;
    try {
      copied = document.execCommand("copy");
    } catch {}
    if (!copied) {
      try {
        await navigator.clipboard.writeText(code.textContent);
        copied = true;
      } catch {}
    }
    button.textContent = copied ? "Copied" : "Selected";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}
