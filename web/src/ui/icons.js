// SPDX-License-Identifier: Apache-2.0
// icons.js - the page's drawings: 24 units square, one stroke.
import { html } from "./html.js";

const PATHS = {
  plus: "M12 5v14M5 12h14",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M7 7h10v10H7z",
  attach:
    "M20 11.5 12.2 19a5 5 0 0 1-7-7l8-7.6a3.3 3.3 0 0 1 4.7" +
    " 4.7l-7.8 7.5a1.7 1.7 0 0 1-2.4-2.4l7-6.7",
  copy: "M9 9h10v11H9zM5 15V4h10",
  check: "M5 12.5 10 17.5 19 7",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  again: "M19 12a7 7 0 1 1-2-4.9M19 4v4h-4",
  left: "M14.5 6l-6 6 6 6",
  right: "M9.5 6l6 6-6 6",
  close: "M6 6l12 12M18 6 6 18",
  menu: "M4 7h16M4 12h16M4 17h16",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  sun:
    "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4" +
    "M17.6 17.6 19 19M5 19l1.4-1.4M17.6 6.4 19 5",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z",
  screen: "M3 5h18v11H3zM9 20h6M12 16v4",
  gear: "M4 7h9M17 7h3M4 17h3M11 17h9M13 5v4M11 15v4",
  key: "M15 9a4 4 0 1 0-3.7 4L9 15.3V18H6v3H3v-3.5l7-7",
  play: "M8 5.5v13l11-6.5z",
  chat: "M4 5h16v11H10l-5 4v-4H4z",
  jobs:
    "M12 3.5v4M12 16.5v4M6.5 9 9 10.5M15 13.5l2.5 1.5M6.5 15 9 13.5M15 10.5 17.5 9" +
    "M12 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5",
  models: "M12 3l8 4.5v9L12 21l-8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9",
  file: "M6 3h8l4 4v14H6zM14 3v4h4",
  wrench: "M14.5 9.5 20 4a5 5 0 0 1-6.5 6.5L7 17a2 2 0 1 1-2.8-2.8L10.7 7.7A5 5 0 0 1 17 1.5",
  help: "M9 9a3 3 0 1 1 4 2.8c-.7.3-1 .8-1 1.7M12 17h.01",
  expand: "M4 10V4h6M20 14v6h-6M4 4l6 6M20 20l-6-6",
};

export function Icon({ name, size = 18 }) {
  return html`<svg class="icon" width=${size} height=${size} viewBox="0 0 24 24" aria-hidden="true">
    <path d=${PATHS[name]} />
  </svg>`;
}

// A button that is a drawing has its words for those who do not see it.
export function IconButton({ icon, label, kind = "", ...rest }) {
  return html`<button
    type="button"
    class=${`icon-button ${kind}`}
    aria-label=${label}
    title=${label}
    ...${rest}
  >
    <${Icon} name=${icon} />
  </button>`;
}

export function Logo() {
  return html`<svg class="logo" width="24" height="24" viewBox="0 0 24 24" aria-hidden="true">
    <circle cx="12" cy="5" r="3" />
    <circle cx="5" cy="11" r="2" />
    <circle cx="12" cy="12.5" r="2" />
    <circle cx="19" cy="11" r="2" />
    <circle cx="8.5" cy="18.5" r="2" />
    <circle cx="15.5" cy="18.5" r="2" />
  </svg>`;
}
