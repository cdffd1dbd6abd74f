// Folded parts of the page: their content is a text until they are opened or printed.

const unfold = (details) => {
  const folded = details.querySelector(":scope > noscript");
  // The text is the page's own markup, in which every name is escaped already.
  if (folded) folded.replaceWith(new DOMParser().parseFromString(folded.textContent, "text/html").body.firstElementChild);
};
const folds = [...document.querySelectorAll("details:has(> noscript)")];
for (const details of folds) details.addEventListener("toggle", () => { if (details.open) unfold(details); });

const opened = new Set();
const unfoldAll = () => {
  for (const details of folds.filter((each) => !each.open)) {
    unfold(details);
    details.open = true;
    opened.add(details);
  }
};
const foldAgain = () => {
  for (const details of opened) details.open = false;
  opened.clear();
};
addEventListener("beforeprint", unfoldAll);
addEventListener("afterprint", foldAgain);
matchMedia("print").addEventListener("change", (media) => (media.matches ? unfoldAll : foldAgain)());
