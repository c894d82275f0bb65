(() => {
  const root = document.documentElement;
  const key = "scorecard-language";
  const show = (language) => {
    root.lang = language;
    const english = language === "en";
    for (const button of document.querySelectorAll("[data-language]")) {
      button.setAttribute("aria-pressed", String(button.dataset.language === language));
    }
    for (const one of document.querySelectorAll("[data-label-en]")) {
      one.setAttribute("aria-label", english ? one.dataset.labelEn : one.dataset.labelZh);
    }
  };
  let chosen = location.hash === "#en" ? "en" : null;
  try { chosen = chosen || localStorage.getItem(key); } catch (_) { /* storage may be switched off */ }
  show(chosen === "en" ? "en" : "zh-CN");
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      show(button.dataset.language);
      try { localStorage.setItem(key, button.dataset.language); } catch (_) { /* the page still switches */ }
    });
  }
})();
