"use strict";
// Says in a line what keeps the page's script from running. Written so that any browser can read it.
(function () {
  var root = document.documentElement;
  function tell(reason) {
    var line = document.getElementById("unable");
    root.removeAttribute("data-able");
    line.hidden = false;
    line.textContent = "The explorer, the networks and the curves cannot be shown here: " + reason +
      ". The maps, the comparison and the claims need no script.";
  }
  var needs = ["DecompressionStream", "ResizeObserver"];
  var missing = needs.filter(function (name) { return !(name in window); });
  if (missing.length) {
    tell("this browser has no " + missing.join(" and no ") + ", which Chrome has from version 80 on, Firefox from 113, Safari from 16.4");
    return;
  }
  root.setAttribute("data-able", "yes");
  window.addEventListener("error", function (event) {
    if (event.error) tell("the script failed (" + event.message + ")"); // without one it is a notice of the browser
  });
  window.addEventListener("unhandledrejection", function (event) {
    tell("the data of the page is damaged (" + (event.reason && event.reason.message || event.reason) + ")");
  });
})();
