// SPDX-License-Identifier: Apache-2.0
// main.js - where the page begins.
import { render } from "preact";
import { html } from "./ui/html.js";
import { App } from "./ui/app.js";
import { loadChats } from "./state/chats.js";
import { refreshInfo } from "./state/info.js";
import { settings, showTheme } from "./state/settings.js";

showTheme(settings.get().theme);
render(html`<${App} />`, document.getElementById("app"));
refreshInfo();
loadChats();
