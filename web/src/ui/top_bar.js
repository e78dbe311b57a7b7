// SPDX-License-Identifier: Apache-2.0
// top_bar.js - the bar on top of each view.
import { html } from "./html.js";
import { IconButton } from "./icons.js";

export function TopBar({ title, onMenu, children }) {
  return html`<header class="top-bar">
    <${IconButton} icon="menu" label="Menu" kind="menu-button" onClick=${onMenu} />
    <h1>${title}</h1>
    <div class="top-tools">${children}</div>
  </header>`;
}
