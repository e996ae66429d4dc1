"use strict";
// Says that a file is too large before it is uploaded; the server checks as well.
const input = document.querySelector("input[type=file]");
const limit = Number(input.dataset.maxBytes) - 2048; // the form around it counts, too
input.addEventListener("change", () => {
  const file = input.files[0];
  const tooLarge = file && file.size > limit;
  input.setCustomValidity(tooLarge ? "This file has more than 4 MB." : "");
  input.reportValidity();
});

// Some browsers on phones leave out autofocus: lead to the first bad field all the same.
const bad = document.querySelector("[aria-invalid]");
if (bad) {
  bad.focus({ preventScroll: true });
  bad.scrollIntoView({ block: "nearest" });
}
