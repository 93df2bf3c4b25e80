// Before anything is drawn: the colours that the reader chose the last time.
try {
  const kept = localStorage.getItem("theme");
  if (kept) document.documentElement.dataset.theme = kept;
} catch { /* a page from disk may not be allowed to keep anything */ }
