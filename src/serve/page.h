/* SPDX-License-Identifier: Apache-2.0 */
/* page.h - the web page, as the build found it (tools/embed_page.py).
 *
 * Layer: serve.  Thread-safety: no shared state.
 */
#ifndef ENX_SERVE_PAGE_H
#define ENX_SERVE_PAGE_H

#define ENX_PAGE_TALK "<!--talk-->"

extern const char          enx_page[], enx_page_gzip[], enx_page_frame[];
/* A file of its own, with ENX_PAGE_TALK where {"messages": [...]} belongs: artifacts of a talk. */
extern const char          enx_page_viewer[];
extern const unsigned long enx_page_viewer_bytes;
extern const unsigned long enx_page_bytes, enx_page_gzip_bytes, enx_page_frame_bytes;
extern const char          enx_page_tag[];    /* an ETag, in quotes */
extern const char          enx_page_policy[]; /* Content-Security-Policy of the page */

#endif /* ENX_SERVE_PAGE_H */
