// What the theme creates in the browser gets names and focus for screen readers and keyboards.

function complete() {
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
  for (const nav of document.querySelectorAll(".md-code__nav")) nav.setAttribute("role", "none");
  for (const table of document.querySelectorAll(".md-typeset__scrollwrap, .highlight code")) table.tabIndex = 0;
}

new MutationObserver(complete).observe(document.body, { childList: true, subtree: true });
complete();
