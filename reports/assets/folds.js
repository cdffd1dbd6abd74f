// Folded parts of the page: their content is a text until they are opened or printed.

/** Let the keyboard reach the parts that scroll. */
const reach = (root) => {
  for (const part of root.querySelectorAll(".scroll, .text"))
    if (part.scrollHeight > part.clientHeight || part.scrollWidth > part.clientWidth) part.tabIndex = 0;
};

const unfold = (details) => {
  const folded = details.querySelector(":scope > noscript");
  // The text is the page's own markup, in which every name is escaped already.
  if (folded) folded.replaceWith(new DOMParser().parseFromString(folded.textContent, "text/html").body.firstElementChild);
  reach(details);
};
const folds = [...document.querySelectorAll("details:has(> noscript)")];
for (const details of folds) details.addEventListener("toggle", () => { if (details.open) unfold(details); });

reach(document);

const opened = new Set();
const unfoldAll = () => {
  for (const details of document.querySelectorAll("details:not([open])")) {
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
