// SPDX-License-Identifier: Apache-2.0
// markdown.js - Markdown as safe HTML.
//
// marked writes HTML, DOMPurify lets through what is text, links, lists and tables.  A picture from
// elsewhere would tell its server that, and what, somebody reads here: it becomes a link.

import DOMPurify from "dompurify";
import { Marked } from "marked";

const marked = new Marked({ gfm: true, breaks: false });

const ALLOWED = {
  ALLOWED_TAGS: (
    "a abbr b blockquote br code del details dd dl dt em h1 h2 h3 h4 h5 h6 hr i img " +
    "input ins kbd li mark ol p pre q s samp small strong sub summary sup table tbody " +
    "td tfoot th thead tr u ul var"
  ).split(" "),
  ALLOWED_ATTR: "href src alt title align colspan rowspan start type checked disabled open".split(
    " ",
  ),
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|#|data:image\/(?:png|jpeg|gif|webp);base64,)/i,
};

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "IMG" && !node.getAttribute("src")?.startsWith("data:")) {
    const link = node.ownerDocument.createElement("a");
    link.setAttribute("href", node.getAttribute("src") ?? "#");
    link.textContent = node.getAttribute("alt") || "picture";
    setLink(link);
    node.replaceWith(link);
  } else if (node.tagName === "A") {
    setLink(node);
  } else if (node.tagName === "INPUT") {
    if (node.getAttribute("type") !== "checkbox") node.remove();
    else {
      node.setAttribute("disabled", "");
      node.setAttribute("aria-label", node.hasAttribute("checked") ? "done" : "not done");
    }
  } else if (node.tagName === "TABLE" || node.tagName === "PRE") {
    node.setAttribute("tabindex", "0"); // wide ones scroll, by keyboard too
  }
});

function setLink(link) {
  link.setAttribute("target", "_blank");
  link.setAttribute("rel", "noopener noreferrer nofollow");
}

export function renderMarkdown(text) {
  return DOMPurify.sanitize(marked.parse(text), ALLOWED);
}
